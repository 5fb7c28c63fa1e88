/* The init of a container that stands by: it waits for a word, and then becomes the program that its arguments name.
 *
 * The word is the file WORD. The agent renames it into place, so that it is whole once it is there. It holds variables
 * ("NAME=value", each with a zero byte at its end) that replace those of the same names. Then the program is run as
 * execvp of the C library would: the engine's own init (tini), whose child this is, runs programs by that. Where there is
 * none to run, line and exit code are tini's too, but for the name in the line.
 *
 * Nothing of the image is needed, not even a C library: this program is all that runs before the word. It has no data that
 * can be written, and so one segment. deploy/init.sh builds it.
 */

typedef unsigned long word_t;

#define FOLDER "/headrace"
#define WORD FOLDER "/word"

/* Where the kernel does not tell of files (a mount that another kernel serves, an engine with a kernel of its own), the
 * file is looked for so often. */
#define LOOK_AGAIN_NANOSECONDS 50000000L

#define WORD_BYTES 65536
#define PATH_BYTES 4096
#define NAME_BYTES 255
/* As much as the C library's execvp hands to a shell. */
#define ARGUMENTS 4096

enum { ENOENT = 2, EINTR = 4, EIO = 5, E2BIG = 7, ENOEXEC = 8, ENOMEM = 12, EACCES = 13, ENODEV = 19, ENOTDIR = 20 };
enum { ENAMETOOLONG = 36, ELOOP = 40, ETIMEDOUT = 110, ESTALE = 116 };

enum { AT_FDCWD = -100, O_CLOEXEC = 02000000, O_NONBLOCK = 04000, POLLIN = 1 };
enum { IN_CREATE = 0x100, IN_MOVED_TO = 0x80 };

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, CLOSE = 3, GETPID = 39, EXECVE = 59, EXIT_GROUP = 231 };
enum { INOTIFY_ADD_WATCH = 254, OPENAT = 257, PPOLL = 271, INOTIFY_INIT1 = 294 };

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n\thlt\n");

static long call(long number, long a, long b, long c, long d, long e)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__) || (defined(__riscv) && __riscv_xlen == 64)
enum { INOTIFY_INIT1 = 26, INOTIFY_ADD_WATCH = 27, OPENAT = 56, CLOSE = 57, READ = 63, WRITE = 64, PPOLL = 73 };
enum { EXIT_GROUP = 94, GETPID = 172, EXECVE = 221 };

#if defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tmov x0, sp\n\tbl begin\n");

static long call(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#else
__asm__(".globl _start\n_start:\n\tmv a0, sp\n\tandi sp, sp, -16\n\tcall begin\n");

static long call(long number, long a, long b, long c, long d, long e)
{
    register long a7 __asm__("a7") = number;
    register long a0 __asm__("a0") = a;
    register long a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    register long a3 __asm__("a3") = d;
    register long a4 __asm__("a4") = e;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4) : "memory");
    return a0;
}
#endif
#else
#error "this processor is not known here"
#endif

static word_t length(const char *text)
{
    word_t count = 0;
    while (text[count])
        count++;
    return count;
}

static void say(const char *text)
{
    call(WRITE, 2, (long)text, (long)length(text), 0, 0);
}

static void say_number(long number)
{
    char digits[24];
    char *at = digits + sizeof digits;
    *--at = 0;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    say(at);
}

/* Waits for the word, and reads it: how many bytes it has, or less than 0. */
static long heard(char *into)
{
    struct {
        long seconds, nanoseconds;
    } pause;
    struct {
        int descriptor;
        short events, found;
    } watched = {-1, POLLIN, 0};
    char told[4096] __attribute__((aligned(8)));
    long file, bytes, count = 0;

    watched.descriptor = (int)call(INOTIFY_INIT1, O_CLOEXEC | O_NONBLOCK, 0, 0, 0, 0);
    if (watched.descriptor >= 0)
        call(INOTIFY_ADD_WATCH, watched.descriptor, (long)FOLDER, IN_CREATE | IN_MOVED_TO, 0, 0);
    /* Looked for after the watch has begun: a word between the two would be missed. */
    while ((file = call(OPENAT, AT_FDCWD, (long)WORD, O_CLOEXEC, 0, 0)) < 0) {
        if (file != -ENOENT && file != -EINTR)
            return file;
        pause.seconds = 0;
        pause.nanoseconds = LOOK_AGAIN_NANOSECONDS;
        call(PPOLL, (long)&watched, 1, (long)&pause, 0, 0);
        if (watched.descriptor >= 0)
            call(READ, watched.descriptor, (long)told, sizeof told, 0, 0);
    }
    if (watched.descriptor >= 0)
        call(CLOSE, watched.descriptor, 0, 0, 0, 0);
    while ((bytes = call(READ, file, (long)(into + count), WORD_BYTES - count, 0, 0)) > 0)
        count += bytes;
    call(CLOSE, file, 0, 0, 0, 0);
    return bytes < 0 ? bytes : count;
}

/* The value of a variable, where `variable` is of that name. */
static const char *value(const char *variable, const char *name, word_t count)
{
    for (word_t at = 0; at < count; at++)
        if (variable[at] != name[at])
            return 0;
    return variable[count] == '=' ? variable + count + 1 : 0;
}

/* Puts the variables of the word into the places of those of the same names. */
static void replace(char **environment, char *words, long count)
{
    for (char *word = words; word < words + count; word += length(word) + 1) {
        word_t name = 0;
        while (word[name] && word[name] != '=')
            name++;
        for (char **each = environment; *each; each++)
            if (value(*each, word, name))
                *each = word;
    }
}

static int run(const char *path, char **arguments, char **environment)
{
    char *shell[ARGUMENTS];
    word_t count = 0;
    long failed = -call(EXECVE, (long)path, (long)arguments, (long)environment, 0, 0);
    if (failed != ENOEXEC)
        return (int)failed;
    /* A script without a first line that names its interpreter. */
    while (arguments[count])
        if (++count > ARGUMENTS - 3)
            return E2BIG;
    shell[0] = (char *)"/bin/sh";
    shell[1] = (char *)path;
    for (word_t at = 1; at <= count; at++)
        shell[at + 1] = arguments[at];
    return (int)-call(EXECVE, (long)shell[0], (long)shell, (long)environment, 0, 0);
}

static int is_elsewhere(int failed)
{
    return failed == ENOENT || failed == ESTALE || failed == ENOTDIR || failed == ENODEV || failed == ETIMEDOUT;
}

/* Becomes the program, or says why that cannot be. */
static int become(char **arguments, char **environment)
{
    const char *name = arguments[0], *folders = "/bin:/usr/bin";
    word_t name_bytes = length(name);
    int failed = ENOENT, forbidden = 0;

    if (!name_bytes)
        return ENOENT;
    for (const char *at = name; *at; at++)
        if (*at == '/')
            return run(name, arguments, environment);
    if (name_bytes > NAME_BYTES)
        return ENAMETOOLONG;
    for (char **each = environment; *each; each++)
        if (value(*each, "PATH", 4)) {
            folders = value(*each, "PATH", 4);
            break;
        }
    for (;;) {
        char path[PATH_BYTES + NAME_BYTES + 2];
        word_t count = 0;
        while (folders[count] && folders[count] != ':')
            count++;
        if (count < PATH_BYTES) {
            word_t end = 0;
            for (; end < count; end++)
                path[end] = folders[end];
            if (count)
                path[end++] = '/';
            for (word_t at = 0; at <= name_bytes; at++)
                path[end + at] = name[at];
            failed = run(path, arguments, environment);
            if (failed == EACCES)
                forbidden = 1;
            else if (!is_elsewhere(failed))
                return failed;
        }
        if (!folders[count])
            return forbidden ? EACCES : failed;
        folders += count + 1;
    }
}

static const char *reason(int failed)
{
    if (failed == ENOENT)
        return "No such file or directory";
    if (failed == EACCES)
        return "Permission denied";
    if (failed == ENOEXEC)
        return "Exec format error";
    if (failed == ENOTDIR)
        return "Not a directory";
    if (failed == ELOOP)
        return "Too many levels of symbolic links";
    if (failed == E2BIG)
        return "Argument list too long";
    if (failed == ENOMEM)
        return "Cannot allocate memory";
    if (failed == ENAMETOOLONG)
        return "File name too long";
    if (failed == EIO)
        return "Input/output error";
    return 0;
}

__attribute__((noreturn)) static void leave(const char *name, int failed)
{
    const char *why = reason(failed);
    say("[FATAL headrace-init (");
    say_number(call(GETPID, 0, 0, 0, 0, 0));
    say(")] exec ");
    say(name);
    say(" failed: ");
    if (why) {
        say(why);
    } else {
        say("Error ");
        say_number(failed);
    }
    say("\n");
    for (;;)
        call(EXIT_GROUP, failed == ENOENT ? 127 : failed == EACCES ? 126 : 1, 0, 0, 0, 0);
}

__attribute__((noreturn, used)) void begin(word_t *stack)
{
    char words[WORD_BYTES + 1];
    word_t count = stack[0];
    char **arguments = (char **)(stack + 1), **environment = arguments + count + 1;
    long bytes;

    if (count < 2)
        leave("", ENOENT);
    bytes = heard(words);
    if (bytes < 0)
        leave(WORD, (int)-bytes);
    words[bytes] = 0;
    replace(environment, words, bytes);
    leave(arguments[1], become(arguments + 1, environment));
}
