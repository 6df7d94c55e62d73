"""What runs on Kubernetes are measured on: a control plane, the operator as its own process, an observer, and a player.

There is no kubelet: starting real containers takes seconds and would hide the milliseconds that are ours. The player
takes kubelet's part and ends pods after set times.
"""
