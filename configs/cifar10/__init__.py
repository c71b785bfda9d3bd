"""Each method on CIFAR-10, for one accelerator or a CPU (`:cpu`)."""
