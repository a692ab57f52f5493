"""How strong the check is: false proofs, injected changes, sizes and times."""
