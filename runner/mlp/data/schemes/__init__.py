"""One module a scheme, each with ``open_origin(address, context)``. See mlp.data.origin for what that gives."""
