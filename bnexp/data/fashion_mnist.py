"""Fashion-MNIST, downloaded once by Keras."""

from typing import Any

from bnexp.data.arrays import Arrays
from bnexp.data.downloads import downloaded

# Keras reads these files without a checksum, so they are fetched with one first.
URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
MD5 = {
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
}
CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def fashion_mnist() -> Arrays:
    """Clothes, 28x28 in gray, 60,000 to train and 10,000 to test (Xiao et al. 2017).

    Raises:
        DataError: no network, and the files are not where Keras puts them.
    """
    return downloaded("fashion_mnist", _fetch, f"{', '.join(MD5)} in fashion-mnist/", CLASSES)


def _fetch() -> Any:
    import keras

    for name, md5 in MD5.items():
        keras.utils.get_file(
            name, f"{URL}{name}", file_hash=md5, cache_subdir="datasets/fashion-mnist"
        )
    return keras.datasets.fashion_mnist.load_data()
