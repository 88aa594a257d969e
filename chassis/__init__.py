"""How any Tradewind service runs. Knows no service and no business proto."""

import os

# Said before gRPC is imported. A child of ours is another program at once: gRPC has nothing to look after in it, and its
# handlers, which may find threads at work, now and then end the child before it has begun.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
