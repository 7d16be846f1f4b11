"""The rendezvous, where the trainers of a job meet without ssh or MPI (docs/clusters.md).

server.py       a key-value store and the job's members, over HTTP; requests must be signed
signing.py      signatures of requests
client.py       signed requests
relay.py        lets Horovod, which cannot sign, use the store
members.py      which trainers form the current generation
worker_env.py   the environment variables of a trainer that a driver starts
"""

from hvdtma.comm.rendezvous.client import RendezvousClient, RendezvousGone
from hvdtma.comm.rendezvous.members import Members, RankInfo
from hvdtma.comm.rendezvous.relay import Relay
from hvdtma.comm.rendezvous.server import RendezvousServer

__all__ = ["Members", "RankInfo", "Relay", "RendezvousClient", "RendezvousGone", "RendezvousServer"]
