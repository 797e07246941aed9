"""dualscape's jobs under SLURM: what scripts/slurm/submit and scripts/slurm/status are made of.

Nothing beyond the standard library: login nodes have little else.
"""
