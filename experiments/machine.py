"""What experiments ask of the machine they run on: whether a device is there, and cores for jobs that
run beside each other without sharing any."""

import concurrent.futures
import os
import queue
import shutil
import subprocess

CORES_PER_JOB = 2  # What a planner uses: two chains.


def has_device(name):
    if not name.startswith("cuda"):
        return True
    return (shutil.which("nvidia-smi") is not None
            and subprocess.run(["nvidia-smi"], capture_output=True).returncode == 0)


def run_beside(tasks, job_count):
    """Calls each task with the cores it has for itself, `job_count` at a time, and returns their
    answers in order. With one job, tasks run one after another on whatever cores there are."""
    if job_count <= 1:
        return [task(None) for task in tasks]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < CORES_PER_JOB * job_count:
        raise SystemExit(f"run.py: --jobs {job_count}: {len(cores)} cores are too few, each job "
                         f"has {CORES_PER_JOB}")
    free = queue.SimpleQueue()
    for i in range(job_count):
        free.put(cores[CORES_PER_JOB * i:CORES_PER_JOB * (i + 1)])

    def run(task):
        own = free.get()
        try:
            return task(own)
        finally:
            free.put(own)

    with concurrent.futures.ThreadPoolExecutor(job_count) as pool:
        return list(pool.map(run, tasks))
