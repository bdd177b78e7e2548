"""Tocsin beside other schedulers, and beside the raw limits of the machine, in the same run.

    ./dev bench --peers [WORKLOAD ...] [--small | --full] [--rounds N] [--json] [--under COMMAND]

A workload has contenders: ours, peers, and limits (the least that a store or a queue costs without a scheduler). In each
round every contender runs once in a process of its own, and each round begins with another one, so that a machine whose speed
changes meanwhile changes all of them. What is told of a figure is its median over the rounds, and the lowest and highest. A
ratio is taken within a round, and is above 1 where ours is better. A contender that did not do all of its work, or did some of
it twice, is shown as failed and the command exits with 1.
On two cores all of it takes twenty minutes, and `--small` less than two.

    environments    a virtual environment for each peer with pinned versions, made in `.peers/` when it is first needed
    servers         child processes on free ports of loopback: PostgreSQL as it is by default, Redis with a log synced each second
    workloads       the table: who takes part with which options, how much is done, what is measured
    contenders/     a script for each workload and peer; `harness` is what they share
    rounds          runs them, and computes ratios and spreads
    report          text, or JSON lines

How they are compared, and where that favours whom:

- Fires: the clock of a peer goes from the start of its first job to its last stored outcome, so starting up costs it nothing;
  ours goes from the instant at which all are due. Jobs are in the store or queue before. APScheduler stores no outcomes: what
  is waited for is that the job is gone from its store. Peers with Redis do not wait for the disk; ours always does.
- Ours on PostgreSQL is a cluster of one node, and starts ZooKeeper for itself: without a cluster its store is SQLite.
- Lateness: Celery's beat is left out, because it has no nominal times: each run counts from the one before.
- On PostgreSQL everybody's tables are analyzed when the work is in them, as autovacuum would do a minute later.
- CPU is that of the contender's own processes, from first job to last; that of PostgreSQL and Redis is not in it.
- Files are in /var/tmp: /tmp may be memory, where nothing durable can be measured.
"""
