// Every setting of the server, once: name, default, range and help. From this table come the fields
// of Settings, the flags, the keys of the config file and the environment variables.
//
// TRAINYARD_SETTINGS(TEXT, INTEGER, SECONDS, BYTES, SWITCH) calls, for each setting:
//   TEXT(name, default, help)
//   INTEGER(name, default, minimum, maximum, help)
//   SECONDS(name, default, minimum, maximum, help)    a number of seconds
//   BYTES(name, default, minimum, maximum, help)      a number, perhaps with KiB, MiB, GiB or TiB
//   SWITCH(name, default, help)
#pragma once

#define TRAINYARD_SETTINGS(TEXT, INTEGER, SECONDS, BYTES, SWITCH)                                  \
  TEXT(data_dir, "", "Folder of the store; created if need be. Required.")                        \
  TEXT(listen, "127.0.0.1:7700",                                                                  \
       "HOST:PORT of the API; port 0 picks one. Other than loopback only with --insecure.")       \
  TEXT(metrics_listen, "",                                                                        \
       "HOST:PORT where Prometheus reads /metrics; port 0 picks one; empty: nowhere.")            \
  TEXT(port_file, "", "File to write `grpc=HOST:PORT` and `metrics=HOST:PORT` to when ready.")     \
  TEXT(worker_binary, "", "Program of the workers. Default: trainyard-worker beside this one.")    \
  INTEGER(cpu_slots, 0, 0, 4096, "CPU threads that jobs may take together; 0: all of the machine.") \
  BYTES(memory_limit, 0, 0, int64_t{1} << 46,                                                     \
        "Memory that jobs may take together; 0: nine tenths of the machine's.")                   \
  BYTES(default_job_memory, 0, 0, int64_t{1} << 46,                                               \
        "Memory limit of a job that asks for none; 0: no limit.")                                 \
  SECONDS(default_time_limit, 0, 0, 31622400,                                                     \
          "Longest running time of an attempt whose job gives none; 0: no limit.")                \
  SECONDS(cancel_grace_seconds, 10, 0, 86400,                                                     \
          "Time between the request to stop and SIGTERM, and between SIGTERM and SIGKILL.")       \
  SECONDS(worker_start_seconds, 30, 0.1, 3600, "Time that a worker has to report after its start.") \
  SECONDS(worker_silence_seconds, 30, 6, 3600,                                                    \
          "Time without a message after which a connected worker is taken for hung.")             \
  SECONDS(worker_reconnect_seconds, 30, 0.1, 86400,                                               \
          "Time that a living worker has to come back after its connection was lost.")            \
  SECONDS(retry_backoff_seconds, 1, 0, 3600,                                                      \
          "Pause before a job's second attempt; doubled for each further one.")                   \
  INTEGER(max_queued_jobs, 100000, 1, 100000000, "Most jobs that may be queued at once.")          \
  BYTES(max_dataset_bytes, int64_t{64} << 30, 1, int64_t{1} << 46, "Largest data set file.")       \
  BYTES(max_predict_bytes, int64_t{64} << 20, 1 << 10, int64_t{4} << 30,                           \
        "Largest table that a prediction takes from the caller.")                                 \
  INTEGER(io_threads, 8, 1, 256, "Threads for reads of the store and chunks of transfers.")       \
  INTEGER(slow_threads, 4, 1, 256, "Threads that end uploads, open tables and predict.")           \
  INTEGER(max_concurrent_streams, 1000, 1, 1000000, "Most calls at once on one connection.")       \
  BYTES(rpc_memory_quota, int64_t{1} << 30, int64_t{64} << 20, int64_t{1} << 46,                    \
        "Memory that calls in progress may take for their buffers.")                              \
  SECONDS(shutdown_grace_seconds, 5, 0, 3600, "Time that calls have to end at shutdown.")          \
  TEXT(log_format, "text", "`text` or `json`.")                                                   \
  TEXT(log_level, "info", "`debug`, `info`, `warning` or `error`.")                                \
  SWITCH(enable_diagnostics, false, "Accept diagnostic jobs, which can crash and eat memory.")     \
  SWITCH(insecure, false,                                                                         \
         "Listen elsewhere than on loopback although anybody who connects may do anything.")
