"""Command lines that cannot work, each with the words of the one line that answers it."""

import commands


def train(*arguments):
  return ("train", arguments)


def study(*arguments):
  return ("study", ("--config=studies/batch_size:tiny", *arguments))


def evaluation(*arguments):
  return ("eval", arguments)


def prepare(*arguments):
  given = ("--config.data.source=folder", "--config.data.folder.path={here}/classes")
  return ("prepare", (*given, *arguments))


def npz(name):
  return ("--config.data.source=npz", f"--config.data.npz.path={{here}}/{name}")


AN_EXPORT = "/safetensors is what contrastive_jax export has written, and no run; give the workdir"
NO_KNN = ("--config.monitor.max_train=0",)

MISTAKES = {
  "no config": (
    train("--workdir={here}/w"),
    "--config is missing; e.g. contrastive_jax train --config=shapes/quickstart",
  ),
  "no workdir of a study": (study("--list"), "--workdir is missing; give a directory"),
  "two answers of a study": (
    study("--workdir={here}/w", "--list", "--dry_run"),
    "--list and --dry_run are asked for; give one of them",
  ),
  "part of a study that there is not": (
    study("--workdir={here}/w", "--shard=4/4"),
    "--shard=4/4: give I/N with I from 0 to N - 1, e.g. 0/4",
  ),
  "label that there is not": (
    study("--workdir={here}/w", "--only=batch=48"),
    "--only=batch=48: axis batch has no label '48'; it has 32, 64",
  ),
  "axis of a study as a flag": (
    study("--workdir={here}/w", "--config.axes={{}}"),
    "axes",
  ),
  "variable without a value": (
    study("--workdir={here}/w", "--job_env=CUDA_VISIBLE_DEVICES"),
    "--job_env=CUDA_VISIBLE_DEVICES is not NAME=VALUE",
  ),
  "change of every run to what an axis sets": (
    study("--workdir={here}/w", "--set=batch_size=7"),
    "--set=batch_size=7: axis batch sets batch_size; --only takes some labels",
  ),
  "change of every run without a value": (
    study("--workdir={here}/w", "--set=epochs"),
    "--set=epochs is not KEY=VALUE, e.g. --set=data.tfds.path=DIR",
  ),
  "change of every run to a key that there is not": (
    study("--workdir={here}/w", "--set=epoch=3"),
    "cell batch=32,epochs=1,rule=linear,seed=0: config has no key epoch; did you mean epochs?",
  ),
  "change of every run of another type": (
    study("--workdir={here}/w", "--set=image_size_px=many"),
    "image_size_px 'many'",
  ),
  "no shards": (study("--slurm=0"), "--slurm=0 is below 1; use 1 shard or more"),
  "config of a run for a study": (
    ("study", ("--config=shapes/quickstart", "--workdir={here}/w")),
    "this config is of one run or evaluation; give contrastive_jax study one of a study",
  ),
  "config of a study for training": (
    train("--config=studies/batch_size", "--workdir={here}/w"),
    "this config",
  ),
  "no workdir": (train(commands.QUICK), "--workdir is missing; give a directory"),
  "workdir of another scheme": (
    train(commands.QUICK, "--workdir=hdfs://bucket/run"),
    "--workdir hdfs://bucket/run is no path of a file system; give a local or mounted directory",
  ),
  "evaluation of another scheme": (
    evaluation("--workdir=az://bucket/run"),
    "--workdir az://bucket/run is no path of a file system",
  ),
  "results of an evaluation of another scheme": (
    evaluation("--workdir={here}/norun", "--out=az://bucket/run"),
    "--out az://bucket/run is no path of a file system",
  ),
  "no place for results": (
    evaluation("--workdir={here}/norun", "--out="),
    "--out is empty; give a value after =, or leave the flag out",
  ),
  "no place for a run": (train(commands.QUICK, "--workdir="), "--workdir is empty; give a value"),
  "weights of a variable that is not set": (
    evaluation("--workdir={here}/norun", "--init="),
    "--init is empty; give a value after =, or leave the flag out",
  ),
  "no place for a comparison": (
    ("compare", ("{here}/norun", "{here}/norun", "--out=")),
    "--out is empty",
  ),
  "no place for an export": (("export", ("--workdir={here}/norun", "--out=")), "--out is empty"),
  "no place for a page": (("report", ("--workdir={here}/norun", "--out=")), "--out is empty"),
  "no place for converted weights": (("convert", ("{here}/norun", "--out=")), "--out is empty"),
  "evaluation named after the folder above": (
    evaluation("--workdir={here}/norun", "--config.name=.."),
    'name ".." is no file name; use letters, digits, "_", "-", and "." inside',
  ),
  "evaluation named as a path": (
    evaluation("--workdir={here}/norun", "--config.name=../other"),
    'name "../other" is no file name',
  ),
  "evaluation without a name": (
    evaluation("--workdir={here}/norun", "--config.name="),
    'name "" is no file name',
  ),
  "evaluation with a name longer than files have": (
    evaluation("--workdir={here}/norun", f"--config.name={'x' * 300}"),
    'name "xxxxxxxxxxxxxxxxxxxx..." has 300 bytes, and files are named after it; use at most 100',
  ),
  "images of another scheme": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=folder",
      "--config.data.folder.path=hdfs://bucket/images",
    ),
    "data.folder.path hdfs://bucket/images is no path of a file system",
  ),
  "misspelt config file": (
    train("--config=configs/quickstrat.py", "--workdir={here}/w"),
    "config configs/quickstrat.py is neither a name nor a file; did you mean shapes/quickstart?",
  ),
  "config file with a syntax error": (
    train("--config={here}/broken.py", "--workdir={here}/w"),
    ("broken.py fails: ", "; correct it"),
  ),
  "config file without get_config": (
    train("--config={here}/without.py", "--workdir={here}/w"),
    "without.py has no get_config(); see shapes/quickstart",
  ),
  "misspelt flag": (
    train(commands.QUICK, "--workdri={here}/w"),
    "there is no flag --workdri; did you mean --workdir?",
  ),
  "key of the config as a flag": (
    train(commands.QUICK, "--workdir={here}/w", "--epochs=3"),
    "there is no flag --epochs; did you mean --config.epochs?",
  ),
  "flag with a bad value": (
    train(commands.QUICK, "--workdir={here}/w", "--num_processes=two"),
    "--num_processes",
  ),
  "name without its folder": (
    train("--config=simclr:cpu", "--workdir={here}/w"),
    "config simclr is neither a name nor a file; did you mean cifar10/simclr or imagenet/simclr?",
  ),
  "config file that sets no key of a run": (
    train("--config={here}/misspelt.py", "--workdir={here}/w"),
    ("config has no key bach_size; did you mean batch_size?", "; correct it"),
  ),
  "config file that returns nothing": (
    train("--config={here}/nothing.py", "--workdir={here}/w"),
    "gives a NoneType; return contrastive_jax.config.pretrain()",
  ),
  "a word that is no flag": (
    train(commands.QUICK, "--workdir={here}/w", "again"),
    "argument 'again' is not",
  ),
  "plain accumulation of gradients": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.accumulate_steps=4"),
    "over all of it (if that is what you want: --config.optimizer.plain_accumulation)",
  ),
  "two of three flags of several processes": (
    train(commands.QUICK, "--workdir={here}/w", "--num_processes=2", "--process_id=0"),
    "--coordinator is missing; give all of --coordinator, --num_processes, --process_id",
  ),
  "misspelt key": (
    train(commands.QUICK, "--workdir={here}/w", "--config.bach_size=64"),
    "config has no key bach_size; did you mean --config.batch_size?",
  ),
  "key in the wrong section": (
    train(commands.QUICK, "--workdir={here}/w", "--config.base_lr=1"),
    "config has no key base_lr; did you mean --config.optimizer.base_lr?",
  ),
  "value for a section": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model=resnet18"),
    "--config.model is a section; set a key in it",
  ),
  "word for a number": (
    train(commands.QUICK, "--workdir={here}/w", "--config.epochs=many"),
    "--config.epochs=many is not a whole number; the default is",
  ),
  "fraction for a whole number": (
    train(commands.QUICK, "--workdir={here}/w", "--config.batch_size=12.5"),
    "--config.batch_size=12.5 is not a whole number",
  ),
  "word for a switch": (
    train(commands.QUICK, "--workdir={here}/w", "--config.log.views=perhaps"),
    "--config.log.views=perhaps is not true or false",
  ),
  "word for numbers": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.milestones=abc"),
    "optimizer.milestones ('abc',) is not a tuple of numbers; the default is ()",
  ),
  "one number for two": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.shapes.scale_range=0.3"),
    "data.shapes.scale_range (0.3,) is not a tuple of 2 numbers; the default is (0.22, 0.4)",
  ),
  "three numbers for two": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.shapes.hue_range=(0.1,0.2,0.3)"),
    "data.shapes.hue_range (0.1, 0.2, 0.3) is not a tuple of 2 numbers; the default is (0.0, 1.0)",
  ),
  "word for whole numbers": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.shapes.rotations=abc"),
    "data.shapes.rotations ('abc',) is not a tuple of whole numbers; the default is (0, 1, 2, 3)",
  ),
  "fraction among whole numbers": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.shapes.rotations=(0,0.5)"),
    "data.shapes.rotations (0, 0.5) is not a tuple of whole numbers",
  ),
  "word for rules": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.lr_rules=abc"),
    "optimizer.lr_rules ('abc',) is not a tuple of tuples",
  ),
  "rule without a pattern": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.lr_rules=((0.5,True),)"),
    "lr_rules has (0.5, True); a rule is (path pattern, multiplier, constant), e.g. ",
  ),
  "numbers for names": (
    evaluation(
      "--workdir={here}/norun",
      "--config.linear_sgd.schedule=step",
      "--config.linear_sgd.step_epochs=(0.5,)",
    ),
    "linear_sgd.step_epochs (0.5,) is not a tuple of whole numbers; the default is (60, 80)",
  ),
  "seed of more than 32 bits": (
    train(commands.QUICK, "--workdir={here}/w", "--config.seed=99999999999999999999"),
    "seed 99999999999999999999 is outside 0..4294967295; set --config.seed=",
  ),
  "negative seed of an evaluation": (
    evaluation("--workdir={here}/norun", "--config.seed=-1"),
    "seed -1 is outside 0..4294967295; set --config.seed=",
  ),
  "config of an evaluation for training": (
    train("--config=configs/eval/knn.py", "--workdir={here}/w", "--config.epochs=3"),
    "this config is of an evaluation, as contrastive_jax eval takes it",
  ),
  "config of training for an evaluation": (
    evaluation("--config", "configs/shapes/quickstart.py", "--workdir={here}/norun"),
    "this config is of pre-training, as contrastive_jax train takes it",
  ),
  "config of training for features": (
    ("embed", ("--config=shapes/quickstart", "--workdir={here}/norun", "--out={here}/w.npz")),
    "this config is of pre-training, as contrastive_jax train takes it; what is asked",
  ),
  "no temperature for neighbours": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.temperature=0"),
    "monitor.temperature 0.0 is outside 1e-05 to 100000; set e.g. --config.monitor.temperature=",
  ),
  "a save that never comes": (
    train(commands.QUICK, "--workdir={here}/w", "--config.checkpoint.every_epochs=inf"),
    "checkpoint.every_epochs inf is not finite; set --config.checkpoint.every_epochs to a number",
  ),
  "more built-in images than memory": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.shapes.num_train=999999999999999"),
    "data.shapes.num_train 999999999999999 is above 16777216; set --config.data.shapes.num_train=",
  ),
  "no number for the neighbours' temperature": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.temperature=nan"),
    "monitor.temperature nan is not a number; the default is 0.07",
  ),
  "fewer neighbours than none": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.max_train=-5"),
    "monitor.max_train -5 is below 0; set --config.monitor.max_train=0 or more",
  ),
  "fewer images to score than none": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.max_test=-5"),
    "monitor.max_test -5 is below 0; set --config.monitor.max_test=0 or more",
  ),
  "neighbours in batches of none": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.batch_size=0"),
    "monitor.batch_size 0 is below 1; set --config.monitor.batch_size=1 or more",
  ),
  "no epochs": (
    train(commands.QUICK, "--workdir={here}/w", "--config.epochs=0"),
    "epochs 0 is below 1",
  ),
  "batch of one": (
    train(commands.QUICK, "--workdir={here}/w", "--config.batch_size=1"),
    "batch_size 1 is below 2",
  ),
  "batch that devices do not divide": (
    train(commands.QUICK, "--workdir={here}/w", "--config.batch_size=100"),
    "batch_size 100 is not divisible by 8 devices; use 96 or 104",
  ),
  "more images in a batch than in the set": (
    train(commands.QUICK, "--workdir={here}/w", "--config.batch_size=8192"),
    "batch_size 8192 exceeds the 4,096 images of the set",
  ),
  "temperature of zero": (
    train(commands.QUICK, "--workdir={here}/w", "--config.method.temperature=0"),
    "method.temperature 0.0 is outside 0.001 to 1000; the paper uses 0.1",
  ),
  "temperature of nearly zero": (
    train(commands.QUICK, "--workdir={here}/w", "--config.method.temperature=1e-9"),
    "method.temperature 1e-09 is outside 0.001 to 1000; the paper uses 0.1",
  ),
  "temperature without end": (
    train(commands.QUICK, "--workdir={here}/w", "--config.method.temperature=inf"),
    "method.temperature inf is not finite; set --config.method.temperature to a number",
  ),
  "limit of an alarm that nothing is below": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.min_std=-1"),
    "monitor.min_std -1.0 is below 0; set --config.monitor.min_std=0 or more",
  ),
  "alarm of what lasts no step": (
    train(commands.QUICK, "--workdir={here}/w", "--config.monitor.lasting_steps=0"),
    "monitor.lasting_steps 0 is below 1; set --config.monitor.lasting_steps=1 or more",
  ),
  "factor that is spelt otherwise": (
    train("--config=shapes/looc:colour", "--workdir={here}/w"),
    "method.kept ('colour',) is not a choice of factors; name one or more, each once, of color",
  ),
  "factor to keep that no view changes": (
    train("--config=shapes/looc:rotation", "--workdir={here}/w", "--config.augment.rotate=0"),
    'method.kept "rotation" needs rotate in all views, but the recipe has crop, grey, jitter; set',
  ),
  "unknown head": (
    train(commands.QUICK, "--workdir={here}/w", "--config.method.head=deep"),
    "method.head 'deep' is unknown; use one of none, linear, mlp",
  ),
  "embedding of no numbers": (
    train(commands.QUICK, "--workdir={here}/w", "--config.method.embedding_size=0"),
    "each must be at least 1; set the sizes of heads in the section method, e.g. --config.method.",
  ),
  "batch norm in no groups": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.bn_groups=0"),
    "model.bn_groups 0 is below 1; set --config.model.bn_groups=1",
  ),
  "groups that do not divide the batch": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.bn_groups=3"),
    "model.bn_groups 3 does not divide batch_size 256; set --config.model.bn_groups=2, or",
  ),
  "more groups than can be counted through": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.bn_groups=1000000000000"),
    "model.bn_groups 1000000000000 does not divide batch_size 256; set --config.model.bn_groups=",
  ),
  "half precision that loses small gradients": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.dtype=float16"),
    "model.dtype float16 would need its loss scaled; use bfloat16 or float32",
  ),
  "option of another family of models": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.name=vit_small"),
    "is unknown to vit_small; use one of patch_px, frozen_patch_projection, positions, ln_eps, "
    "weight_init",
  ),
  "unknown method": (
    train(commands.QUICK, "--workdir={here}/w", "--config.method.name=simclear"),
    'method "simclear" is unknown; use one of',
  ),
  "unknown model": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.name=resnet51"),
    "model 'resnet51' is unknown; use one of",
  ),
  "unknown stem": (
    train(commands.QUICK, "--workdir={here}/w", "--config.model.stem=big"),
    "model stem 'big' is unknown; use one of",
  ),
  "unknown recipe": (
    train(commands.QUICK, "--workdir={here}/w", "--config.augment.recipe=simclrr"),
    "augment.recipe 'simclrr' is unknown; did you mean 'simclr'?",
  ),
  "probability above one": (
    train(commands.QUICK, "--workdir={here}/w", "--config.augment.blur=1.5"),
    "augment.blur 1.5 is not a probability; use 0 to 1",
  ),
  "unknown optimiser": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.name=lasr"),
    "optimizer 'lasr' is unknown; use one of",
  ),
  "warm-up longer than the run": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.warmup_epochs=99"),
    "optimizer warmup_epochs 99.0 must be between 0 and epochs",
  ),
  "unknown source": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.source=s3"),
    'data source "s3" is unknown; use one of arrayrecord, folder, given, npz, parquet',
  ),
  "images kept nowhere": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.cache=disk", *NO_KNN),
    'data.cache "disk" is unknown; use auto, memory or none',
  ),
  "threads of none": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.num_threads=0", *NO_KNN),
    "data.num_threads 0 is below 1; use 1 or more",
  ),
  "canvas without pixels": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.host_size_px=0", *NO_KNN),
    "data.host_size_px 0 is below 1; use the side of a canvas in pixels",
  ),
  "path of another source": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.folder.path={here}/classes"),
    (
      "data.folder.path is given, but nothing reads it: ",
      'data.source is "shapes"; add --config.data.source=folder',
    ),
  ),
  "path of another source in a config file": (
    train("--config={here}/pointing.py", "--workdir={here}/w"),
    'data.folder.path is "/photos", but data.source is "shapes", the built-in images; set',
  ),
  "option of another optimiser": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.b1=0.8"),
    'optimizer.b1 is given, but nothing reads it: optimizer.name is "sgd", not adam, adamw or lamb',
  ),
  "option of another schedule": (
    train(commands.QUICK, "--workdir={here}/w", "--config.optimizer.milestone_factor=0.2"),
    'optimizer.lr_schedule is "cosine", not step',
  ),
  "hue of views that keep their colours": (
    train(
      "--config=cifar10/simclr:cpu",
      "--workdir={here}/w",
      "--config.data.source=shapes",
      "--config.data.split=train",
      "--config.augment.recipe=crop_only",
      "--config.augment.hue=0.2",
    ),
    "augment.hue 0.2 has no effect: the recipe has no jitter; leave it out or use another recipe",
  ),
  "option of another protocol": (
    evaluation("--workdir={here}/norun", "--config=eval/knn", "--config.linear_sgd.epochs=5"),
    (
      "linear_sgd.epochs is given, but nothing reads it: ",
      "protocols are knn; add linear_sgd to --config.protocols",
    ),
  ),
  "rate that others stand in for": (
    evaluation(
      "--workdir={here}/norun", "--config=eval/linear_sgd", "--config.linear_sgd.base_lr=30"
    ),
    "linear_sgd.rates are (0.1, 0.3, 1.0); set them to ()",
  ),
  "images of another source than is scored": (
    evaluation(
      "--workdir={here}/norun", "--config.data.source=npz", "--config.data.folder.path={here}"
    ),
    'data.source is "npz"; add --config.data.source=folder',
  ),
  "folder that is not there": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=folder",
      "--config.data.folder.path={here}/photos",
    ),
    '/photos"; set data.folder.path to a folder of images',
  ),
  "folder without images": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=folder",
      "--config.data.folder.path={here}/empty",
    ),
    "/empty; it must hold files ending in .jpg, ",
  ),
  "folder with too few images": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=folder",
      "--config.data.folder.path={here}/folder",
    ),
    "batch_size 256 exceeds the 3 images of the set",
  ),
  "list that is not there": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=table",
      "--config.data.table.path={here}/gone.csv",
    ),
    '/gone.csv"; set data.table.path to a list of images',
  ),
  "objects of Python on the command line": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.source=given"),
    'data.source is "given": these images are objects in Python; give them to train, evaluate or',
  ),
  "length in steps and in epochs": (
    train(commands.QUICK, "--workdir={here}/w", "--config.steps=5", "--config.epochs=5"),
    "epochs is given, but nothing reads it: steps is 5 and says how long the run is; leave one",
  ),
  "slice of nothing": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=folder",
      "--config.data.folder.path={here}/folder",
      "--config.data.split=train[5:]",
    ),
    "'train[5:]' holds none of the 3 images of the split; take a larger slice",
  ),
  "npz that is not there": (
    train(commands.QUICK, "--workdir={here}/w", *npz("gone.npz")),
    '/gone.npz"; set data.npz.path to a .npz file',
  ),
  "range of pixels that runs down": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.value_range=(9,1)"),
    "data.value_range (9, 1) is not (least, largest); use e.g. (0,4095)",
  ),
  "bits of a canvas that there are not": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.bits=12"),
    "data.bits 12 is neither 8 nor 16",
  ),
  "colour operations without colours": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.channels=5"),
    "has the colour operation jitter, and data.channels is 5: which of them are red, green and",
  ),
  "npz without images": (
    train(commands.QUICK, "--workdir={here}/w", *npz("unnamed.npz")),
    "has no array 'images' (nor image, x) but pixels; rename one",
  ),
  "tfds set that is not prepared": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.data.source=tfds",
      "--config.data.tfds.name=cifar10",
      "--config.data.tfds.path={here}/empty",
    ),
    "download_and_prepare()",
  ),
  "export without a format": (
    ("export", ("--workdir={here}/norun",)),
    "--format is missing; e.g. contrastive_jax export --workdir=runs/first --format=safetensors",
  ),
  "export in a format that there is not": (
    ("export", ("--workdir={here}/norun", "--format=pickle")),
    "--format=pickle is unknown; use one of safetensors, own, onnx, stablehlo",
  ),
  "export of no run": (
    ("export", ("--workdir={here}/norun", "--format=own")),
    "norun holds no run (no config.json)",
  ),
  "export of an export": (
    ("export", ("--workdir={here}/onnx", "--format=own")),
    "/onnx is what contrastive_jax export has written, and no run; give the workdir of the run",
  ),
  "evaluation of an export": (
    evaluation("--workdir={here}/safetensors", "--config=eval/knn"),
    (AN_EXPORT, "of the run itself, or as init.path the weights alone: ", "s/model.safetensors"),
  ),
  "features of an export": (
    ("embed", ("--workdir={here}/safetensors", "--out={here}/w.npz")),
    AN_EXPORT,
  ),
  "study in the workdir of a run": (
    ("study", ("--config=studies/batch_size:tiny", "--workdir={here}/safetensors", "--report")),
    "/safetensors is the workdir of a run (config.json), and a study has a folder of its own; give",
  ),
  "report of no study": (
    study("--workdir={here}/w", "--report"),
    "/w holds no study yet (no study.json); give the --workdir of one, or leave --report out",
  ),
  "run in the folder of a study": (
    train(commands.QUICK, "--workdir={here}/study"),
    "/study is the folder of a study (study.json), whose runs lie in cells/; give another --work",
  ),
  "page of an export": (("report", ("{here}/safetensors",)), AN_EXPORT),
  "comparison of an export": (("compare", ("{here}/safetensors",)), AN_EXPORT),
  "training in an export": (
    train(commands.QUICK, "--workdir={here}/safetensors", *NO_KNN),
    AN_EXPORT,
  ),
  "an export without a file of weights to begin with": (
    train(commands.QUICK, "--workdir={here}/w", "--config.init.path={here}/onnx", *NO_KNN),
    "/onnx is what contrastive_jax export has written, and no run; give the workdir of the run",
  ),
  "an export of one file to begin with": (
    train(commands.QUICK, "--workdir={here}/w", "--config.init.path={here}/safetensors", *NO_KNN),
    "is a folder of weights and not of a run; give the file: ",
  ),
  "export of a step that is none": (
    ("export", ("--workdir={here}/norun", "--format=own", "--step=last")),
    "--step=last is no step; give its number, or best",
  ),
  "export of weights with images inside": (
    ("export", ("--workdir={here}/norun", "--format=own", "--preprocessing=in")),
    "--preprocessing=in is of onnx and stablehlo; own is weights alone",
  ),
  "export with a misspelt flag": (
    ("export", ("--workdri={here}/norun", "--format=own")),
    "there is no flag --workdri; did you mean --workdir?",
  ),
  "nothing to convert": (
    ("convert", ()),
    "no file is given; give one, e.g. contrastive_jax convert",
  ),
  "two files to convert": (("convert", ("a.pth", "b.pth")), "2 files are given; give one"),
  "file to convert that is not there": (
    ("convert", ("{here}/gone.pth",)),
    "gone.pth is not there; give a file ending in .pth, .pt, .ckpt, .pkl",
  ),
  "weights to start from that are not there": (
    train(commands.QUICK, "--workdir={here}/w", "--config.init.path={here}/gone.safetensors"),
    "gone.safetensors is not there; give a .safetensors or .npz file, or the workdir of a run",
  ),
  "weights to start from that may hold programs": (
    train(commands.QUICK, "--workdir={here}/w", "--config.init.path={here}/gone.pth"),
    "gone.pth may hold programs, which are not read here; first: contrastive_jax convert ",
  ),
  "layout of no weights": (
    train(commands.QUICK, "--workdir={here}/w", "--config.init.layout=moco"),
    "init.layout is given, but nothing reads it: init.path is empty",
  ),
  "layout that there is not": (
    train(
      commands.QUICK,
      "--workdir={here}/w",
      "--config.init.path={here}/gone.npz",
      "--config.init.layout=moko",
    ),
    'init.layout "moko" is unknown; use one of own, moco, moco_v3',
  ),
  "weights to score in a file that is none": (
    evaluation("--init={here}/file", "--config.data.source=npz", "--out={here}/out"),
    "file is no whole safetensors file (its header is to have ",
  ),
  "weights to score and a step of a run": (
    evaluation("--init={here}/file", "--config.checkpoint_step=3"),
    "checkpoint_step is given, but nothing reads it: weights are scored in its place",
  ),
  "form at the end that the network has not": (
    train(commands.QUICK, "--workdir={here}/w", "--config.checkpoint.export=safetensors"),
    (
      "torchvision and timm have no network like this one (model.padding same: at stride 2 theirs",
      "; --config.checkpoint.export=own is for this package",
    ),
  ),
  "network of an export that there is not": (
    ("export", ("--workdir={here}/w", "--format=own", "--network=teacher")),
    "--network=teacher is unknown; use one of online, target",
  ),
  "form at the end that there is not": (
    train(commands.QUICK, "--workdir={here}/w", "--config.checkpoint.export=pth"),
    "--config.checkpoint.export=pth is unknown; use one of safetensors, own, onnx, stablehlo",
  ),
  "study where a file is": (
    study("--workdir={here}/file", "--report"),
    ("the study's folder ", "file is no directory); give another --workdir"),
  ),
  "list of a study where a file is": (
    study("--workdir={here}/file/below", "--list"),
    ("the study's folder ", "file is no directory); give another --workdir"),
  ),
  "plan where a file is": (
    train(commands.QUICK, "--workdir={here}/file", "--plan=cpu:1", "--plan_images=512:10"),
    ("the plan cannot be written to ", "file (File exists); give another --workdir"),
  ),
  "workdir that is a file": (
    train(commands.QUICK, "--workdir={here}/file"),
    ("file cannot be written", "; give another --workdir"),
  ),
  "evaluation of a directory that is no run": (
    evaluation("--workdir={here}/norun"),
    "norun holds no run (no config.json)",
  ),
  "evaluation of a directory that is not there": (
    evaluation("--workdir={here}/gone"),
    "gone holds no run (no config.json); give the workdir of a training run",
  ),
  "prepared set without a place": (prepare(), "--out is missing; give a folder for the records"),
  "prepared set where a file is": (
    prepare("--out={here}/file"),
    "the records cannot be written to ",
  ),
  "part of a prepared set that there is not": (
    prepare("--out={here}/out", "--shard=2/2"),
    "--shard=2/2: give I/N with I from 0 to N - 1, e.g. 0/4",
  ),
  "part of a prepared set that Ray makes": (
    prepare("--out={here}/out", "--shard=0/2", "--engine=ray"),
    "--shard is given with --engine=ray, which makes all; leave one out",
  ),
  "format of a prepared set that there is not": (
    prepare("--out={here}/out", "--format=gif"),
    "--format=gif is unknown; use one of jpeg, webp, webp-lossless, png",
  ),
  "quality of a prepared set that cannot be": (
    prepare("--out={here}/out", "--quality=0"),
    "--quality=0 is outside 1 to 100",
  ),
  "slice of a set to be prepared": (
    prepare("--out={here}/out", "--splits=train[:9]"),
    'split "train[:9]" is a slice, and files are named after whole splits: prepare train, and give',
  ),
  "workdir of a preparation": (
    prepare("--out={here}/out", "--workdir={here}/w"),
    "--workdir is given, but prepare has none",
  ),
  "training option of a preparation": (
    prepare("--out={here}/out", "--config.epochs=3"),
    "epochs is given, but nothing reads it: prepare reads data.source",
  ),
  "shards that are not there": (
    train(
      *(commands.QUICK, "--workdir={here}/w", "--config.data.source=webdataset"),
      "--config.data.webdataset.path={here}/a-{{0..3}}.tar",
    ),
    'a-0.tar"; set data.webdataset.path',
  ),
  "source without its path": (
    train(commands.QUICK, "--workdir={here}/w", "--config.data.source=parquet"),
    "data.parquet.path is not set; give e.g. --config.data.parquet.path=",
  ),
}
