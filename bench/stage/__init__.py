"""What runs on Kubernetes are measured on.

Mostly a control plane, the operator as its own process, an observer, and a player, without a kubelet: starting real
containers takes seconds and would hide the milliseconds that are ours. The player takes kubelet's part and ends pods
after set times. Where the start of containers is what is measured (`node`, `starts`), there is a whole cluster.
"""
