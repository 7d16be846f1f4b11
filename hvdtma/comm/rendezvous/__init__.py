"""How trainers find one another without ssh or MPI, and who may: docs/clusters.md.

server.py    the job's store and membership, over HTTP, for those who know its secret
signing.py   what a request is signed with
client.py    a signed request
relay.py     Horovod's own client, which signs nothing, is served by its own process
members.py   who trains, generation by generation
"""

from hvdtma.comm.rendezvous.client import RendezvousClient, RendezvousGone
from hvdtma.comm.rendezvous.members import Members, RankInfo
from hvdtma.comm.rendezvous.relay import Relay
from hvdtma.comm.rendezvous.server import RendezvousServer

__all__ = ["RendezvousClient", "Members", "RankInfo", "Relay", "RendezvousGone", "RendezvousServer"]
