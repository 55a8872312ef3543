import os

import torch
from hypothesis import settings

# Machines are shared and slow at times: laws are not timed. Examples are the same in every run.
settings.register_profile("glnet", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("glnet")

# Tiny networks on several threads wait for each other more than they compute.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
