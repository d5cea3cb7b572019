"""``python -m zmart_lite`` and the entry point of the built program."""

import multiprocessing
import time

from zmart_lite.cli import main, program

if __name__ == "__main__":
    multiprocessing.freeze_support()
    held = program.hold(time.time())
    main()
