"""Does Batch Normalization help a network of one's own? `my_net.resnet`, three arms, three seeds.

    cd examples && python own_network.py                        # about a minute on 2 cores
    cd examples && python own_network.py trainer.steps=1000     # other settings

Given again it finds its runs in outputs/own_network and makes none of them anew.
"""

import sys

import bnexp

NETWORK = ("model=keras", "model.builder=my_net:resnet", "model.arguments={widths: [8, 16]}")
DATA = ("data=mnist", "data.train_size=5000", "data.val_size=1000")  # small, to be quick
TRAINING = (
    "optimizer=momentum",
    "optimizer.lr=0.1",
    "trainer.steps=300",
    "trainer.batch_size=32",
    "trainer.eval_every=100",
)
ARMS = ("norm=none,batch,group", "seed=0,1,2")  # every combination is a run


def main() -> None:
    """Makes the runs, and prints how far each arm is above the one without normalization."""
    runs = bnexp.sweep(*NETWORK, *DATA, *TRAINING, *ARMS, "name=own_network", *sys.argv[1:])

    print(runs.runs.groupby("arm")["test_accuracy"].agg(["mean", "min", "max"]).round(3))
    compared = bnexp.compare(runs, "test_accuracy")  # seed by seed, 95% Student-t intervals
    print(compared[["arm", "n", "difference", "low", "high", "verdict"]].round(3))


if __name__ == "__main__":
    main()
