"""The parts of the conda-lock library that are used here.

Importing it warns of old calls in the conda that it carries: nothing that anybody here can mend,
and an error for whoever runs Python with `-W error`.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    from conda_lock.content_hash import backwards_compatible_content_hashes, compute_content_hashes
    from conda_lock.lockfile import write_conda_lock_file
    from conda_lock.lockfile.v2prelim.models import (
        HashModel,
        LockedDependency,
        Lockfile,
        LockMeta,
    )
    from conda_lock.models.lock_spec import LockSpecification
    from conda_lock.src_parser import make_lock_spec
    from conda_lock.virtual_package import (
        FakeRepoData,
        default_virtual_package_repodata,
        virtual_package_repo_from_specification,
    )

__all__ = [
    "FakeRepoData",
    "HashModel",
    "LockMeta",
    "LockSpecification",
    "LockedDependency",
    "Lockfile",
    "backwards_compatible_content_hashes",
    "compute_content_hashes",
    "default_virtual_package_repodata",
    "make_lock_spec",
    "virtual_package_repo_from_specification",
    "write_conda_lock_file",
]
