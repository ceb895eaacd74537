"""GitOps for conda environments."""
