"""`python -m staplegun` becomes the program."""

import os
import sys

from staplegun import find_program

if __name__ == "__main__":
    os.execv(find_program(), ["staplegun", *sys.argv[1:]])
