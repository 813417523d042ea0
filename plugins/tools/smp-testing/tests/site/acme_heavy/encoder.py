import os
import warnings

os.environ["ACME_SEEN"] = "1"
warnings.filterwarnings("ignore", message="acme")


class Heavy:
    pass
