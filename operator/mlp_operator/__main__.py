"""``python -m mlp_operator`` is the operator."""

from mlp_operator.main import main

main()
