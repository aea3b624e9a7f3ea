/* threads.c: a small thread pool over pthreads; what parallel_for of a context does.

   Plan. One job at a time. The caller cuts [0, n) into chunks and gives each thread a share of
   neighbouring ones. It opens the job and works on it itself, and so does each worker that comes in
   time: first on its own share, then on what is left of the others'. When no chunk is left the
   caller closes the job and waits for those who joined, never for those who slept through it.
   A thread has the same share of every job, so it often finds in the cache of its core what it
   wrote in the job before. Workers spin for some 50 us before they sleep, so that a train of small
   jobs finds them awake and an idle process costs nothing. A worker that is awake takes no lock:
   one that is held for a moment puts it to sleep for longer than most jobs last.

   A nested parallel_for, or one from a second Python thread while the pool is busy, runs serially.
   Which thread takes which chunk may vary; kernels are written so that results do not depend on it.
   After fork the child has no workers: it starts its own at its first job.

   Why not OpenMP: a second runtime beside NumPy's or PyTorch's aborts on macOS, and libgomp after
   fork can hang. */
#ifdef __linux__
#define _GNU_SOURCE
#include <sched.h>
#endif
#include <pthread.h>
#include <stdatomic.h>

#include "host.h"

enum { MOST_THREADS = 256, SPINS = 4000, CHUNKS_PER_THREAD = 4, CACHE_LINE = 64 };

/* The chunks of a thread: those from next to end are left. */
typedef struct {
    _Alignas(CACHE_LINE) atomic_llong next;
    int64_t end;
} share;

/* Two pairs meet on atomics in the manner of Dekker: each side writes its own, then reads the
   other's, so that at least one sees the other. A joining worker counts itself in, then looks
   whether the job is open; the caller closes it, then looks who is in. A worker going to sleep
   says so, then looks for a job; the caller numbers the job, then looks for sleepers. */
static struct {
    atomic_int threads;  /* wanted, the caller included */
    atomic_flag busy;    /* a job is under way */
    int32_t workers;     /* started; guarded by the mutex, as is falling asleep */
    pthread_mutex_t mutex;
    pthread_cond_t wake, left;
    atomic_int sleepers; /* asleep, or about to be */
    atomic_int waiting;  /* the caller sleeps until the last one has left */

    /* What one core writes and another reads has a line of cache for itself, or a line that is
       written once for a job: a line that goes to and fro costs up to half a microsecond. */
    _Alignas(CACHE_LINE) atomic_uint job; /* counts jobs; workers watch it */
    _Alignas(CACHE_LINE) atomic_int inside; /* how many are in, or looking whether it is open */
    _Alignas(CACHE_LINE) atomic_uint open; /* the number of the job that may be joined, or 0 */
    atomic_int core;  /* on which the caller runs, or -1 */
    etude_body *body; /* from here to shares: written while nobody is inside */
    void *arg;
    int64_t chunk;
    int32_t count; /* of shares: of threads that the job is for */
    share shares[MOST_THREADS];
} pool = {.threads = 1,
          .busy = ATOMIC_FLAG_INIT,
          .mutex = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .left = PTHREAD_COND_INITIALIZER};

/* ---- Jobs ----------------------------------------------------------------------------------- */

static inline void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* As thread number `mine`, the caller being 0: the chunks of its share, then of the next one's. */
static void take_chunks(int32_t mine)
{
    etude_thread *s = etude_this_thread();
    s->level = 1;
    for (int32_t i = 0; i < pool.count; i++) {
        share *from = &pool.shares[(mine + i) % pool.count];
        for (;;) {
            /* Relaxed: chunks of one job owe each other nothing, and an order between them would
               hide races in a kernel from the thread sanitizer. The job came through pool.job. */
            int64_t begin = atomic_fetch_add_explicit(&from->next, pool.chunk,
                                                      memory_order_relaxed);
            if (begin >= from->end)
                break;
            int64_t end = begin + pool.chunk;
            pool.body(pool.arg, begin, end < from->end ? end : from->end);
        }
    }
    s->level = 0;
}

/* Wait for a job after the one numbered `seen`, awake for a while and then asleep. */
static void await_job(unsigned seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&pool.job) != seen)
            return;
        pause_a_little();
    }
    pthread_mutex_lock(&pool.mutex);
    atomic_fetch_add(&pool.sleepers, 1);
    while (atomic_load(&pool.job) == seen)
        pthread_cond_wait(&pool.wake, &pool.mutex);
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.mutex);
}

static void leave(void)
{
    if (atomic_fetch_sub(&pool.inside, 1) == 1 && atomic_load(&pool.waiting)) {
        pthread_mutex_lock(&pool.mutex);
        pthread_cond_signal(&pool.left);
        pthread_mutex_unlock(&pool.mutex);
    }
}

/* A busy system may leave a worker on the core of its caller, where the two only take turns. The
   worker then moves to any other core that the process may use. */
#ifdef __linux__
static cpu_set_t allowed; /* written once, before the first worker starts */

static int this_core(void)
{
    return sched_getcpu();
}

static void leave_core(int core)
{
    cpu_set_t others = allowed;
    CPU_CLR(core, &others);
    if (CPU_COUNT(&others))
        sched_setaffinity(0, sizeof others, &others);
}

static void note_cores(void)
{
    if (sched_getaffinity(0, sizeof allowed, &allowed))
        CPU_ZERO(&allowed);
}
#else
static int this_core(void)
{
    return -1;
}

static void leave_core(int core)
{
    (void)core;
}

static void note_cores(void)
{
}
#endif

static void *worker(void *number)
{
    unsigned seen = 0;
    int32_t mine = (int32_t)(intptr_t)number;
    for (;;) {
        await_job(seen);
        seen = atomic_load(&pool.job);
        int core = atomic_load(&pool.core);
        if (core >= 0 && core == this_core())
            leave_core(core);
        atomic_fetch_add(&pool.inside, 1);
        if (atomic_load(&pool.open) && mine < pool.count)
            take_chunks(mine);
        leave();
    }
    return NULL;
}

static void start_workers(int32_t wanted)
{
    pthread_attr_t detached;
    pthread_mutex_lock(&pool.mutex);
    if (pool.workers == 0)
        note_cores();
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (pthread_t id; pool.workers < wanted; pool.workers++)
        if (pthread_create(&id, &detached, worker, (void *)(intptr_t)(pool.workers + 1)))
            break; /* fewer threads than wished: the job still completes */
    pthread_attr_destroy(&detached);
    pthread_mutex_unlock(&pool.mutex);
}

/* Chunks of [0, n), each of `grain` elements or a multiple, dealt out to `threads` shares. */
static void cut(int64_t n, int64_t grain, int32_t threads)
{
    int64_t grains = (n + grain - 1) / grain, most = threads * CHUNKS_PER_THREAD;
    pool.chunk = (grains + most - 1) / most * grain;
    int64_t chunks = (n + pool.chunk - 1) / pool.chunk;
    pool.count = threads;
    for (int32_t i = 0; i < threads; i++) {
        int64_t end = chunks * (i + 1) / threads * pool.chunk;
        atomic_store_explicit(&pool.shares[i].next, chunks * i / threads * pool.chunk,
                              memory_order_relaxed);
        pool.shares[i].end = end < n ? end : n;
    }
}

void etude_pool_run(etude_context *ctx, etude_body *body, void *arg, int64_t n, int64_t grain)
{
    etude_thread *s = etude_this_thread();
    int32_t threads = atomic_load_explicit(&pool.threads, memory_order_relaxed);
    (void)ctx;
    if (n <= 0)
        return;
    if (threads == 1 || n <= grain || s->level || atomic_flag_test_and_set(&pool.busy)) {
        s->level++;
        body(arg, 0, n);
        s->level--;
        return;
    }
    if (pool.workers < threads - 1) /* only a caller that holds `busy` writes it */
        start_workers(threads - 1);
    pool.body = body;
    pool.arg = arg;
    cut(n, grain, threads);
    atomic_store(&pool.core, this_core());
    unsigned number = atomic_load(&pool.job) + 1;
    number += number == 0; /* 0 means closed */
    atomic_store(&pool.open, number);
    atomic_store(&pool.job, number);
    if (atomic_load(&pool.sleepers)) {
        pthread_mutex_lock(&pool.mutex);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.mutex);
    }

    take_chunks(0);

    atomic_store(&pool.open, 0);
    for (int i = 0; i < SPINS && atomic_load(&pool.inside); i++)
        pause_a_little();
    if (atomic_load(&pool.inside)) {
        pthread_mutex_lock(&pool.mutex);
        atomic_store(&pool.waiting, 1);
        while (atomic_load(&pool.inside))
            pthread_cond_wait(&pool.left, &pool.mutex);
        atomic_store(&pool.waiting, 0);
        pthread_mutex_unlock(&pool.mutex);
    }
    atomic_flag_clear(&pool.busy);
}

void etude_set_threads(int32_t threads)
{
    atomic_store(&pool.threads, threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads);
}

int32_t etude_get_threads(void)
{
    return atomic_load(&pool.threads);
}

/* ---- Start ---------------------------------------------------------------------------------- */

static void lock_before_fork(void)
{
    pthread_mutex_lock(&pool.mutex);
}

static void unlock_in_parent(void)
{
    pthread_mutex_unlock(&pool.mutex);
}

static void reset_in_child(void) /* only the forking thread lives on; it was not inside a job */
{
    pthread_mutex_init(&pool.mutex, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pthread_cond_init(&pool.left, NULL);
    pool.workers = 0;
    atomic_store(&pool.open, 0);
    atomic_store(&pool.inside, 0);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.waiting, 0);
    atomic_flag_clear(&pool.busy);
}

void etude_pool_start(int32_t threads)
{
    pthread_atfork(lock_before_fork, unlock_in_parent, reset_in_child);
    etude_set_threads(threads);
}
