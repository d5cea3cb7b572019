"""``python -m zmart_lite`` and the entry point of the frozen binary."""

import multiprocessing

from zmart_lite.cli import main

if __name__ == "__main__":
    multiprocessing.freeze_support()
    main()
