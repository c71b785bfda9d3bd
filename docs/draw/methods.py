"""Draws each method, and a legend: docs/pictures/methods/NAME.svg.

    python docs/draw/methods.py

Blue is what asks (queries and whatever learns by gradient), orange what answers (keys, targets and
memories), green the loss; white are images and labels. Equal letters are equal weights, a dash is a
network of its own. `boxes.py` says how a picture is written down.
"""

import pathlib

import boxes

FOLDER = pathlib.Path(__file__).parents[1] / "pictures" / "methods"
EXCHANGED = "and with the two views exchanged"


def two_views(loss: str, others: str, *more: str, colour: str = "query") -> str:
  """Describes two views through one network, and a loss between them and others."""
  lines = [
    "0.5 query: [image]",
    "0 query: | [view 1] | f | (h)=h1 | g | (z)=z1",
    "1 query: | [view 2] | f=f2 | (h)=h2 | g=g2 | (z)=z2",
    f"0.5 {colour}: | | | | | | <{loss}>=loss",
    f"0.5 {colour}: | | | | | | | {others}=others" if others else "",
    "others -> loss" if others else "",
    *("image -> view 1", "image -> view 2", "z1 -> loss", "z2 -> loss", *more),
  ]
  return "\n".join(lines)


PICTURES = {
  "legend": """
    0 query: [an image, a view,/a label] | network | (embedding) | <loss>
    1 key: | slow or/fixed | (target) | {memory: queue,/bank, batch}=memory
    network ~> slow or/fixed
    target -| memory
    note: blue asks and learns by gradient, orange answers
  """,
  "simclr": two_views("NT-Xent", "{z of the other/images, both/views}"),
  "infonce": two_views("InfoNCE", "{view 2 of the/other images}", f"note: {EXCHANGED}"),
  "dcl": two_views(
    "DCL",
    "{z of the other/images, both/views}",
    "note: the denominator holds the other images alone, not the positive",
  ),
  "sogclr": two_views(
    "DCL by u",
    "{z of the other/images, both/views}",
    "1.7 key: | | | | | | | {u: a number/for every image}=u",
    "u -> loss",
    "z2 ~> u",
    "note: u: average over batches of what an image's negatives weigh",
  ),
  "supcon": two_views(
    "SupCon",
    "{z of the other/images, both/views}",
    "0.5 data: | | | | | | | | [labels]",
    "labels -> others",
    "note: every view of the same class is a positive",
  ),
  "triplet": two_views(
    "triplet loss,/margin α",
    "{z of the other/images,/semi-hard ones}",
    "note: squared distances of unit vectors",
  ),
  "siglip": two_views(
    "sigmoid loss/of each pair",
    "{view 2 of the/other images}",
    "1.7 query: | | | | | | | (t, b)=tb",
    "tb -> loss",
    "note: t, b: scale and bias, learnt; nothing is normalised over the batch",
  ),
  "margin": two_views(
    "margin loss,/margin m", "{view 2 of the/other images}", f"note: cosines; {EXCHANGED}"
  ),
  "nt_logistic": two_views(
    "logistic loss/of each pair", "{view 2 of the/other images}", f"note: {EXCHANGED}"
  ),
  "vicreg": two_views("invariance, variance,/covariance", ""),
  "lejepa": """
    1 query: [image] | {large and/small views}=v | f | (h) | g | {z of/each view}=z
    0 query: | | | | | | (mean of the/large z)=mean
    1 key: | | | | | | | <squared/distance>=loss
    2 key: | | | | | | <SIGReg>=sigreg
    2 key: | | | | | | | [random/directions]=a
    z -> mean
    z -> loss
    z -> sigreg
    mean -> loss
    a -> sigreg
    note: SIGReg: is each view, in each direction, standard normal over the batch?
  """,
  "barlow": """
    0.5 query: [image]
    0 query: | [view 1] | f | (h)=h1 | g | (z)=z1
    1 query: | [view 2] | f=f2 | (h)=h2 | g=g2 | (z)=z2
    0.5 query: | | | | | | [C, D × D]=C | <C towards/identity>=loss
    image -> view 1
    image -> view 2
    z1 -> C
    z2 -> C
    note: C: cross-correlation of the two views over the batch
  """,
  "moco": """
    0.5 query: [image]
    0 query: | [view 1] | f | g | (q)
    1 key: | [view 2] | f' | g' | (k)
    0.5 key: | | | | | <InfoNCE>
    0.5 key: | | | | | | {queue of/earlier keys}=queue
    image -> view 1
    image -> view 2
    q -> InfoNCE
    k -| InfoNCE
    k -> queue
    queue -> InfoNCE
    f ~> f'
    g ~> g'
  """,
  "moco_v3": """
    0.5 query: [image]
    0 query: | [view 1] | f | g | (z) | predictor | (q)
    1 key: | [view 2] | f' | g' | (k)
    0.5 key: | | | | | | | <InfoNCE>
    0.5 key: | | | | | | | | {keys of the/other images}=others
    image -> view 1
    image -> view 2
    q -> InfoNCE
    k -| InfoNCE
    others -> InfoNCE
    f ~> f'
    g ~> g'
    note: and with the two views exchanged
  """,
  "nnclr": """
    0.5 query: [image]
    0 query: | [view 1] | f | g | (z)=z1
    0 key: | | | | | {queue of/earlier z}=queue | (NN)
    1 query: | [view 2] | f=f2 | g=g2 | (z)=z2 | predictor | (p)
    0.5 query: | | | | | | | <InfoNCE>
    0.5 query: | | | | | | | | {p of the/other images}=others
    image -> view 1
    image -> view 2
    z1 -| queue
    NN -> InfoNCE
    p -> InfoNCE
    others -> InfoNCE
    note: NN: the nearest in the queue; and with the two views exchanged
  """,
  "instdisc": """
    0 query: [image] | [view] | f | (h) | linear | (v) | <NCE, or/softmax>=loss
    1 key: | | | | | | {bank: a row/for every image}=bank
    bank -> loss
    v ~> bank
    note: the image's own row is the positive, other rows are the negatives
  """,
  "looc": """
    1 query: [image]
    0 query: | [q]=view q | f | g0, g1=g | (z0, z1)=zq
    1 key: | [k0: all/drawn anew]=k0 | f'=fk0 | g0', g1'=gk0 | (z0, z1)=zk0
    2 key: | [k1: T1/as in q]=k1 | f'=fk1 | g0', g1'=gk1 | (z0, z1)=zk1
    0.5 loss: | | | | | <space 0:/k0 is like q>=loss0
    1 loss: | | | | | | <space 1: k1 is/like q, k0 is not>=loss1
    1 key: | | | | | | | {queues}
    image -> view q
    image -> k0
    image -> k1
    zq -> loss0
    zq -> loss1
    zk0 -| loss0
    zk0 -| loss1
    zk1 -| loss1
    queues -> loss1
    f ~> fk0
    g ~> gk0
    note: each space has a head and a queue of its own
  """,
  "patches": """
    0.5 query: [image]
    0 query: | [view 1] | [patches]=p1 | f | (h)=h1 | g | (z)=z1
    1 query: | [view 2] | [patches]=p2 | f=f2 | (h)=h2 | g=g2 | (z)=z2
    0.5 query: | | | | | | | <InfoNCE>
    0.5 query: | | | | | | | | {other patches/of view 2}=others
    image -> view 1
    image -> view 2
    z1 -> InfoNCE
    z2 -> InfoNCE
    others -> InfoNCE
    note: the positive is the same patch of the other view; and with the two views exchanged
  """,
  "byol": """
    0.5 query: [image]
    0 query: | [view 1] | f | g | (z) | predictor | (p)
    1 key: | [view 2] | f' | g' | (z')
    0.5 key: | | | | | | | <2 − 2 cos>=loss
    image -> view 1
    image -> view 2
    p -> loss
    z' -| loss
    f ~> f'
    g ~> g'
    note: and with the two views exchanged
  """,
  "simsiam": """
    0.5 query: [image]
    0 query: | [view 1] | f | g | (z)=z1 | predictor | (p)
    1 query: | [view 2] | f=f2 | g=g2 | (z)=z2
    0.5 query: | | | | | | | <− cos>=loss
    image -> view 1
    image -> view 2
    p -> loss
    z2 -| loss
    note: and with the two views exchanged
  """,
  "swav": """
    0.5 query: [image]
    0 query: | [any other/crop]=small | f | g | (z)=z1 | C=C1 | softmax | (p)
    1 query: | [large crop] | f=f2 | g=g2 | (z)=z2 | C=C2
    1 key: | | | | | | Sinkhorn | (q)
    0.5 query: | | | | | | | | <cross/entropy>=loss
    image -> small
    image -> large crop
    p -> loss
    C2 -| Sinkhorn
    q -> loss
    note: C: prototypes, unit vectors that are learnt
  """,
  "dino": """
    0.5 query: [image]
    0 query: | [any other/crop]=small | f | g | last | softmax,/τ of student=s | (p)
    1 key: | [large crop] | f' | g' | last' | minus c, softmax,/τ of teacher=t | (p')
    2 key: | | | | | (c)
    0.5 key: | | | | | | | <cross/entropy>=loss
    image -> small
    image -> large crop
    p -> loss
    p' -| loss
    f ~> f'
    g ~> g'
    last ~> last'
    last' ~> c
    c -> t
    note: c: mean of the teacher's outputs
  """,
  "supervised": """
    0 query: [image] | [view] | f | (h) | linear | <cross/entropy>=loss
    1 query: | | | | | [label]
    label -> loss
  """,
  "rotation": """
    0 query: [image] | [view] | [4 rotations/of it]=turned | f | (h) | linear | <cross/entropy>=loss
    1 query: | | | | | | [0°, 90°,/180°, 270°]=turns
    turns -> loss
  """,
  "relative_patch": """
    0.5 query: [image] | [9 patches]
    0 query: | | [centre] | f=f1 | (z)=z1
    1 query: | | [neighbour] | f=f2 | (z)=z2
    0.5 query: | | | | | MLP | <cross/entropy>=loss
    1.5 query: | | | | | | [which of 8]
    9 patches -> centre
    9 patches -> neighbour
    z1 -> MLP
    z2 -> MLP
    which of 8 -> loss
  """,
  "jigsaw": """
    0 query: [image] | [9 patches] | f | {each z}=z | [shuffled,/joined]=s | MLP | <cross/entropy>
    1 query: | | | | | | [which of the/permutations]=which
    which -> cross/entropy
  """,
  "exemplar": """
    0 query: [image] | [8 views] | f | (h) | linear | {z of each}=z | <triplet loss,/semi-hard>=loss
    1 query: | | | | | | {views of the/other images}=others
    others -> loss
    note: the views of one image are positives of each other
  """,
  "autoencoder": """
    0 query: [image] | [view] | f | (h) | decoder | [picture] | <squared/error>=loss
    1 query: | | | | | | [the view,/made small]=target
    target -> loss
  """,
  "context_encoder": """
    0 query: [image] | [hidden/square]=x | f | (h) | decoder | [picture] | <error in/the hole>=loss
    1 query: | | | | | | [the whole view,/made small]=target
    target -> loss
  """,
}


def svg(name: str) -> str:
  """Returns the picture of a method."""
  return boxes.draw(f"{name}: from an image to the loss", PICTURES[name])


if __name__ == "__main__":
  FOLDER.mkdir(parents=True, exist_ok=True)
  for name in PICTURES:
    (FOLDER / f"{name}.svg").write_text(svg(name), encoding="utf-8")
