/* threads.c: a small thread pool over pthreads, scratch memory, and the context that offers both.

   Plan. One job at a time. The caller cuts [0, n) into chunks, opens the job, and works on it
   itself; each worker that wakes in time joins and takes chunks from the same atomic counter. When
   no chunk is left the caller closes the job and waits for those who joined, never for those who
   slept through it. Workers spin for some 20 us before they sleep, so that a train of small jobs
   finds them awake and an idle process costs nothing.

   A nested parallel_for, or one from a second Python thread while the pool is busy, runs serially.
   Which thread takes which chunk varies; kernels are written so that results do not depend on it.
   After fork the child has no workers: it starts its own at its first job.

   Why not OpenMP: a second runtime beside NumPy's or PyTorch's aborts on macOS, and libgomp after
   fork can hang. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "host.h"

enum { MOST_THREADS = 256, SPINS = 2000, CHUNKS_PER_THREAD = 4 };

static struct {
    pthread_mutex_t mutex; /* guards all but the atomics */
    pthread_cond_t wake, left;
    atomic_int threads;  /* wanted, the caller included */
    int32_t workers;     /* started */
    atomic_flag busy;    /* a job is under way */
    atomic_uint job;     /* its number; workers watch it */
    int open;            /* the job may still be joined */
    int32_t seats;       /* how many more workers may join */
    atomic_int inside;   /* how many are at work; changed with the mutex held */
    etude_body *body;
    void *arg;
    int64_t n, chunk;
    atomic_llong next; /* the first element of the next chunk */
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .left = PTHREAD_COND_INITIALIZER,
          .threads = 1,
          .busy = ATOMIC_FLAG_INIT};

/* ---- Memory of one thread ------------------------------------------------------------------- */

typedef struct {
    etude_context context;
    int level; /* 1 inside the body of a parallel_for */
    void *buffer[2];
    size_t bytes[2];
} thread_state;

static _Thread_local thread_state *mine;
static pthread_key_t mine_key; /* only for its destructor */

static void free_state(void *p)
{
    thread_state *state = p;
    free(state->buffer[0]);
    free(state->buffer[1]);
    free(state);
}

static void parallel_for(etude_context *ctx, etude_body *body, void *arg, int64_t n, int64_t grain);
static void *scratch(etude_context *ctx, size_t bytes);

static thread_state *state(void)
{
    if (!mine) {
        static thread_state last_resort; /* out of memory: serial, and scratch fails */
        mine = calloc(1, sizeof *mine);
        if (!mine)
            return &last_resort;
        pthread_setspecific(mine_key, mine);
        mine->context.version = ETUDE_INTERFACE;
        mine->context.parallel_for = parallel_for;
        mine->context.scratch = scratch;
    }
    return mine;
}

etude_context *etude_host(void)
{
    etude_context *ctx = &state()->context;
    ctx->threads = atomic_load_explicit(&pool.threads, memory_order_relaxed);
    return ctx;
}

static void *scratch(etude_context *ctx, size_t bytes)
{
    thread_state *s = state(); /* not ctx's: a worker has its own */
    (void)ctx;
    if (bytes > s->bytes[s->level]) {
        free(s->buffer[s->level]);
        s->bytes[s->level] = (bytes + 63) / 64 * 64;
        s->buffer[s->level] = aligned_alloc(64, s->bytes[s->level]);
        if (!s->buffer[s->level])
            s->bytes[s->level] = 0;
    }
    return s->buffer[s->level];
}

/* ---- Jobs ----------------------------------------------------------------------------------- */

static inline void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static void take_chunks(void)
{
    thread_state *s = state();
    s->level = 1;
    for (;;) {
        int64_t begin = atomic_fetch_add(&pool.next, pool.chunk);
        if (begin >= pool.n)
            break;
        int64_t end = begin + pool.chunk < pool.n ? begin + pool.chunk : pool.n;
        pool.body(pool.arg, begin, end);
    }
    s->level = 0;
}

static void *worker(void *unused)
{
    unsigned seen = 0;
    (void)unused;
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load(&pool.job) == seen; i++)
            pause_a_little();
        pthread_mutex_lock(&pool.mutex);
        while (atomic_load(&pool.job) == seen)
            pthread_cond_wait(&pool.wake, &pool.mutex);
        seen = atomic_load(&pool.job);
        int joined = pool.open && pool.seats > 0;
        pool.seats -= joined;
        atomic_fetch_add(&pool.inside, joined);
        pthread_mutex_unlock(&pool.mutex);
        if (!joined)
            continue;
        take_chunks();
        pthread_mutex_lock(&pool.mutex);
        if (atomic_fetch_sub(&pool.inside, 1) == 1)
            pthread_cond_signal(&pool.left);
        pthread_mutex_unlock(&pool.mutex);
    }
    return NULL;
}

static void start_workers(int32_t wanted) /* with the mutex held */
{
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (pthread_t id; pool.workers < wanted; pool.workers++)
        if (pthread_create(&id, &detached, worker, NULL))
            break; /* fewer threads than wished: the job still completes */
    pthread_attr_destroy(&detached);
}

static void parallel_for(etude_context *ctx, etude_body *body, void *arg, int64_t n, int64_t grain)
{
    thread_state *s = state();
    int32_t threads = atomic_load_explicit(&pool.threads, memory_order_relaxed);
    (void)ctx;
    if (n <= 0)
        return;
    if (threads == 1 || n <= grain || s->level || atomic_flag_test_and_set(&pool.busy)) {
        int before = s->level;
        s->level = 1;
        body(arg, 0, n);
        s->level = before;
        return;
    }
    int64_t grains = (n + grain - 1) / grain, share = threads * CHUNKS_PER_THREAD;

    pthread_mutex_lock(&pool.mutex);
    start_workers(threads - 1);
    pool.body = body;
    pool.arg = arg;
    pool.n = n;
    pool.chunk = (grains + share - 1) / share * grain;
    pool.seats = threads - 1;
    pool.open = 1;
    atomic_store(&pool.next, 0);
    atomic_fetch_add(&pool.job, 1);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.mutex);

    take_chunks();

    pthread_mutex_lock(&pool.mutex);
    pool.open = 0;
    pthread_mutex_unlock(&pool.mutex);
    for (int i = 0; i < SPINS && atomic_load(&pool.inside); i++)
        pause_a_little();
    pthread_mutex_lock(&pool.mutex);
    while (atomic_load(&pool.inside))
        pthread_cond_wait(&pool.left, &pool.mutex);
    pthread_mutex_unlock(&pool.mutex);
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
    pool.workers = pool.seats = pool.open = 0;
    atomic_store(&pool.inside, 0);
    atomic_flag_clear(&pool.busy);
}

void etude_host_start(int32_t threads)
{
    pthread_key_create(&mine_key, free_state);
    pthread_atfork(lock_before_fork, unlock_in_parent, reset_in_child);
    etude_set_threads(threads);
#ifdef __GLIBC__
    /* Arrays come and go with every op. By default malloc maps each one of 128 KB or more anew and
       gives it back, so that every fresh output pays a page fault per 4 KB, many times the cost of
       the arithmetic. Keep such memory in the heap, and keep the heap's top. */
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the largest that glibc accepts */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}
