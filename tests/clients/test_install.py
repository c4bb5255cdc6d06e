"""What `meson install` puts in place is enough to build and run a client: header, libraries,
pkg-config file, command. The example is built against the shared and the static library, as C and
(where there is a compiler) as C++."""

import os
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.environ["PYTHON_PACKAGE"])
sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "tests/daemon"))

import harness  # noqa: E402
from harness import check  # noqa: E402

EXAMPLE = os.path.join(os.environ["SOURCE_ROOT"], "clients/c/example.c")
FLAGS = shlex.split(os.environ["COMPILE_FLAGS"])  # sanitizers, when the library has them

_root = None


def run(*command, **env):
    p = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env})
    check(p.returncode == 0, f"{' '.join(command)}:\n{p.stdout}{p.stderr}")
    return p.stdout


def root():
    """Installs once, into a folder of the test."""
    global _root
    if not _root:
        _root = harness.folder("root")
        run("meson", "install", "-C", os.environ["BUILD_ROOT"], "--no-rebuild", "--quiet",
            "--destdir", _root)
    return _root


def found(name):
    for folder, _, files in os.walk(root()):
        if name in files:
            return folder
    raise AssertionError(f"{name} is not installed")


def pkg_config(*arguments):
    return shlex.split(run("pkg-config", *arguments, "libvirtualnet-client",
                           PKG_CONFIG_PATH=found("libvirtualnet-client.pc"),
                           PKG_CONFIG_SYSROOT_DIR=root()))


def classifies(program, libraries=""):
    """The program must answer for an image, over a real daemon."""
    image = os.path.join(harness.folder(), "a.pgm")
    with open(image, "wb") as f:
        f.write(b"P5\n28 28\n255\n" + bytes(28 * 28))
    with harness.Daemon(harness.store("small")) as d:
        said = run(program, image, "garment", VIRTUALNET_SOCKET=d.socket_path,
                   LD_LIBRARY_PATH=libraries)
    check("promised" in said, said)


def test_shared():
    program = os.path.join(harness.folder(), "shared")
    run("cc", "-Wall", "-Wextra", "-Werror", "-pedantic", *FLAGS, EXAMPLE, "-o", program,
        *pkg_config("--cflags", "--libs"))
    classifies(program, found("libvirtualnet-client.so"))


def test_static():
    """The archive holds all that it needs of the project; the rest pkg-config --static names."""
    program = os.path.join(harness.folder(), "static")
    libraries = [f for f in pkg_config("--static", "--libs") if f != "-lvirtualnet-client"]
    archive = os.path.join(found("libvirtualnet-client.a"), "libvirtualnet-client.a")
    run("cc", *FLAGS, EXAMPLE, "-o", program, *pkg_config("--cflags"), archive, *libraries)
    check("libvirtualnet-client" not in run("ldd", program), "it is not linked statically")
    classifies(program)


def test_symbols():
    """Only the documented functions are exported, with a version."""
    library = os.path.join(found("libvirtualnet-client.so"), "libvirtualnet-client.so")
    names = [line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()]
    wrong = [n for n in names if not n.startswith("vn_client_") and n != "VIRTUALNET_CLIENT_0"]
    check(not wrong, f"exported: {wrong}")
    with open(os.path.join(found("virtualnet-client.h"), "virtualnet-client.h")) as f:
        header = f.read()
    for name in names:
        function = name.split("@")[0]
        check(function == "VIRTUALNET_CLIENT_0" or f"{function}(" in header, f"{name}: no words")


def test_header_in_c_plus_plus():
    if not shutil.which("c++"):
        print("there is no C++ compiler: left out")
        return
    source = os.path.join(harness.folder(), "a.cpp")
    with open(source, "w") as f:
        f.write("#include <virtualnet-client.h>\n"
                "int main() { vn_client_request r{}; r.budget_bytes = 1; vn_client_free(nullptr);\n"
                "             return r.top_k; }\n")
    program = os.path.join(harness.folder(), "plus")
    run("c++", "-Wall", "-Wextra", "-Werror", "-pedantic", *FLAGS, source, "-o", program,
        *pkg_config("--cflags", "--libs"))
    run(program, LD_LIBRARY_PATH=found("libvirtualnet-client.so"))


def test_python_package_is_whole():
    folder = os.path.dirname(found("virtualnet_pb2.py"))
    said = run("/usr/bin/python3", "-c", "import virtualnet; print(virtualnet.__file__)",
               PYTHONPATH=folder)
    check(said.startswith(folder), said)
    places = run("/usr/bin/python3", "-c", "import sys; print(*sys.path, sep='\\n')").splitlines()
    place = folder[len(root()):]
    check(place in places or not place.startswith("/usr"), f"{place} is not one of {places}")


harness.main(sys.modules[__name__])
