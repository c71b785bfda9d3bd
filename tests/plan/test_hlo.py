"""What is read off a compiled step: collectives, what they carry, products in loops."""

import jax
import jax.numpy as jnp
import pytest

from contrastive_jax import parallel
from contrastive_jax.plan import arithmetic, hlo, traffic

SHAPES = traffic.Shapes(rows=frozenset({64, 32, 16, 8}), parameters=frozenset({(3, 3, 8, 8), (8,)}))

# As the TPU's and the CPU's compilers write: one gather in two pieces on one channel, a merged
# all-reduce without a name, a ring in a loop, an asynchronous gather, and a group of one.
ALL = "channel_id=1, replica_groups={{0,1,2,3,4,5,6,7}}, dimensions={0}"
CHAIN = 'frontend_attributes={chain_id="0"}'
NAMED = 'metadata={op_name="jit(step)/shard_map/all_gather"}'
BN = 'metadata={op_name="jit(step)/jvp(Network)/(norm1/reduce_sum:norm_skip/reduce_sum)"}'
TEXT = f"""\
HloModule step

%add (a: f32[], b: f32[]) -> f32[] {{
  ROOT %sum = f32[] add(%a, %b)
}}

%piece1 (p: f32[8,4]) -> f32[64,4] {{
  ROOT %g1 = f32[64,4]{{1,0:T(8,128)}} all-gather(%p), {ALL}, {CHAIN}, {NAMED}
}}

%piece2 (p: f32[8,4]) -> f32[64,4] {{
  ROOT %g2 = f32[64,4]{{1,0}} all-gather(%p), {ALL}, {CHAIN}, {NAMED}
}}

%ring (s: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {{
  %product = f32[8,8] dot(%x, %x)
  ROOT %sent = f32[8,4]{{1,0}} collective-permute(%x), channel_id=9
}}

%more (s: (s32[], f32[8,4])) -> pred[] {{
  %bound = s32[]{{:T(128)}} constant(7)
  ROOT %less = pred[] compare(%i, %bound), direction=LT
}}

ENTRY %main (x: f32[8,4]) -> f32[64,4] {{
  %a = f32[64,4] fusion(%x), kind=kOutput, calls=%piece1
  %b = f32[64,4] fusion(%x), kind=kOutput, calls=%piece2
  %w = (s32[], f32[8,4]) while(%t), condition=%more, body=%ring
  %r = (f32[3,3,8,8]{{3,2,1,0}}, /*index=1*/f32[]) all-reduce(%x), replica_groups=[2,4]<=[8]
  %n = f32[8] all-reduce(%z), replica_groups=mesh['axis_0'=8,'axis_1'=1] {{'axis_0'}}, {BN}
  %s = (f32[8,4], bf16[64,4]) all-gather-start(%x), {ALL}
  %one = f32[9] all-reduce(%z), channel_id=5, replica_groups={{{{0}},{{1}}}}, to_apply=%add
  ROOT %d = f32[64,4] add(%a, %b)
}}
"""


def test_each_collective_is_found_once_with_its_group_and_rounds():
  found = [(c.kind, str(c.items[0]), c.group, c.times) for c in hlo.collectives(TEXT, 8)]
  assert sorted(found) == [
    ("all-gather", "bf16[64,4]", 8, 1),
    ("all-gather", "f32[64,4]", 8, 1),
    ("all-reduce", "f32[3,3,8,8]", 4, 1),
    ("all-reduce", "f32[8]", 8, 1),
    ("collective-permute", "f32[8,4]", 8, 7),
  ]
  assert hlo.longest_loop(TEXT) == 7


def test_bytes_on_the_wire_are_those_of_ring_algorithms():
  found = {c.kind + str(c.items[0]): c for c in hlo.collectives(TEXT, 8)}

  def wire(name):
    return sum(found[name].wire_bytes(i) for i in found[name].items)

  assert wire("all-gatherf32[64,4]") == 64 * 4 * 4 * 7 / 8
  assert wire("all-gatherbf16[64,4]") == 64 * 4 * 2 * 7 / 8, "the result alone, not the operand"
  assert wire("all-reducef32[3,3,8,8]") == (576 + 1) * 4 * 2 * 3 / 4
  assert wire("collective-permutef32[8,4]") == 7 * 8 * 4 * 4
  scatter = hlo.Collective("reduce-scatter", (hlo.Item("f32", (2,)),), 4, 1, "")
  assert scatter.wire_bytes(scatter.items[0]) == 2 * 4 * 3


def test_what_travels_is_named():
  named = {str(i): traffic.carries(c, i, SHAPES) for c in hlo.collectives(TEXT, 8) for i in c.items}
  assert named == {
    "f32[64,4]": "embeddings",
    "bf16[64,4]": "embeddings",
    "f32[8,4]": "embeddings",
    "f32[3,3,8,8]": "gradients",
    "f32[]": "other statistics",
    "f32[8]": "batch norm",
  }


def test_images_that_move_between_devices_are_seen():
  mesh = parallel.make_mesh()
  x = jax.ShapeDtypeStruct((64, 2, 16, 16, 3), jnp.float32, sharding=parallel.sharded(mesh))
  with parallel.use(mesh):
    text = jax.jit(lambda x: parallel.gather(x).sum(axis=0)).lower(x).compile().as_text()
  carried = [traffic.carries(c, i, SHAPES) for c in hlo.collectives(text, 8) for i in c.items]
  assert traffic.IMAGES in carried


@pytest.mark.parametrize(
  "stride, dilation, padding", [(1, 1, "SAME"), (2, 1, "SAME"), (1, 2, "VALID"), (3, 2, "SAME")]
)
def test_products_in_a_loop_are_counted_in_every_round(stride, dilation, padding):
  """As XLA counts them where there is no loop."""

  def layer(x, w):
    y = jax.lax.conv_general_dilated(
      x, w, (stride,) * 2, padding, rhs_dilation=(dilation,) * 2,
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
    return (y**2).sum() + ((w[0, 0] @ w[1, 1]) ** 2).sum()

  def rounds(count):
    def total(x, w):
      def body(carry, _):
        return carry + layer(x + carry, w), None

      return jax.lax.scan(body, 0.0, None, length=count)[0]

    return jax.jit(jax.grad(total, argnums=(0, 1))).lower(*shapes).compile()

  shapes = [jnp.zeros((2, 9, 11, 8)), jnp.zeros((3, 3, 8, 8))]
  looped, unrolled = rounds(5), rounds(1)
  assert arithmetic.missed(unrolled.as_text()) == 0
  found = looped.cost_analysis()["flops"] + arithmetic.missed(looped.as_text())
  assert found == pytest.approx(5 * unrolled.cost_analysis()["flops"], rel=0.05)
