"""A contender's process: `python -m training.benchmark.worker JOB SETTING`.

It makes its job, says so, and then takes as many steps as each line of its standard input says.
Every answer is one line of JSON on what was its standard output; all else that is printed goes to
standard error.
"""

import importlib
import json
import os
import sys
import time

from training.benchmark.job import Setting


def main(job_name: str, setting: Setting) -> None:
    """Answers until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    job = importlib.import_module(f"training.benchmark.{job_name}").make_job(setting)
    print(json.dumps(job.facts), file=answers)
    for line in sys.stdin:
        job.before()
        started, cpu_started = time.perf_counter(), time.process_time()
        value = job.take(int(line))
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        job.after()
        answer = {
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,  # of all threads
            "value": value,
            "peak_bytes": job.peak_bytes(),
        }
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main(sys.argv[1], Setting(**json.loads(sys.argv[2])))
