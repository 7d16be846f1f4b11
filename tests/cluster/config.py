"""The slurm.conf of a cluster whose nodes are all on this machine."""

import os
import pwd
import random
import socket
from pathlib import Path

# Below the ports that the system assigns to srun and other programs.
PORTS = range(10_000, 32_000)

TEMPLATE = """\
ClusterName=onemachine
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}

# No file outside of this directory, no port that other machines can reach. A requeued job starts
# again after cred_expire (at least 5 s); the default is two minutes.
AuthType=auth/munge
AuthInfo=socket={directory}/munge.s,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool/%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/spool/%n.pid
SlurmctldLogFile={directory}/log/slurmctld.log
SlurmdLogFile={directory}/log/%n.log
MailProg=/bin/true

# No accounting: it needs a set-up of the system.
ProctrackType=proctrack/linuxproc
TaskPlugin={task_plugin}
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none

# Nodes have as many CPUs and as much memory as they say, whatever the machine has.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName=DEFAULT CPUs={cpus} RealMemory=65536

# Jobs start as soon as they can, lost nodes are noticed soon, and ended jobs stay listed.
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0
JobRequeue=1
KillWait={kill_wait_s}
OverTimeLimit=0
SlurmdTimeout={node_timeout_s}
ReturnToService=2
MinJobAge=3600

# A job of `debug` that needs the nodes makes Slurm requeue a job of `low`.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=debug Nodes=ALL Default=YES PriorityTier=2 DefaultTime=60 MaxTime=1-0 PreemptMode=OFF
PartitionName=low Nodes=ALL PriorityTier=1 DefaultTime=60 MaxTime=1-0
"""
NODE = "NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}\n"


def slurm_conf(
    directory: Path,
    nodes: int,
    cpus: int,
    *,
    kill_wait_s: int = 10,
    node_timeout_s: int = 15,
    task_plugin: str = "task/none",
) -> str:
    """slurm.conf for `nodes` nodes n1, n2, ... of `cpus` CPUs each, run by the calling user.

    `task/affinity` binds tasks to CPUs as on a real cluster. It needs nodes with as many CPUs as
    the machine has, and binds the first task of every node to the machine's first CPU. With
    `task/cgroup` beside it, a task cannot leave its job's CPUs; it needs `cgroups.CONF` beside the
    file.
    """
    host, ports = socket.gethostname().split(".")[0], free_ports(1 + nodes)
    head = TEMPLATE.format(
        directory=directory,
        host=host,
        ports=ports,
        cpus=cpus,
        task_plugin=task_plugin,
        user=pwd.getpwuid(os.getuid()).pw_name,
        kill_wait_s=kill_wait_s,
        node_timeout_s=node_timeout_s,
    )
    lines = [NODE.format(number=i, host=host, port=ports[i]) for i in range(1, 1 + nodes)]
    return head + "".join(lines)


def free_ports(count: int) -> list[int]:
    """`count` free ports, at random, so that two clusters seldom choose the same ones."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                found.append(port)
    return found
