from hypothesis import settings

# Machines are shared and slow at times: laws are not timed. Examples are the same in every run.
settings.register_profile("glnet", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("glnet")
