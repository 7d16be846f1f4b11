"""Build Horovod for the PyTorch of a virtual environment, or install the wheel built before.

Horovod's last release (0.28.1) asks for C++14, but PyTorch needs C++17 since version 2.1: two lines
are changed. Three more changes concern lost trainers. When a trainer is lost in `hvd.init`, Gloo
throws outside of any `try`, which ends all other trainers: with the patch `hvd.init` fails instead,
and can be called again (two changes). `hvd.shutdown` leaves most connections open, and the other
trainers notice the lost one only after Gloo's timeout: the patch closes them.

A build takes minutes. Wheels are kept in
`${HVDTMA_CACHE:-${XDG_CACHE_HOME:-~/.cache}/hvdtma}/wheels`, in one folder per combination of
everything that a wheel depends on.

    python tools/build_horovod.py --python .venv/bin/python [--mpi]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from steps import Command, StepError, run_step

VERSION = "0.28.1"
SDIST_SHA256 = "92a43f5a94c43907a56805bad15f19700c62ffc83b7ca483f9e104e229f67ef0"

MEET = """std::thread([] {
      try {
        BackgroundThreadLoop(horovod_global);
      } catch (const std::exception& ex) {
        LOG(ERROR) << "Horovod could not be initialized: " << ex.what();
        if (horovod_global.control_operation == LibType::GLOO) {
          horovod_global.process_set_table.Finalize(global_gloo_context, SHUT_DOWN_ERROR);
        }
        global_gloo_context.Finalize();
        horovod_global.initialization_failed = true;
      }
    });"""

# (file in the sdist, text as released, text as built). Part of the wheel's cache key.
PATCH = (
    ("CMakeLists.txt", "set(CMAKE_CXX_STANDARD 14)", "set(CMAKE_CXX_STANDARD 17)"),
    ("horovod/torch/CMakeLists.txt", "set(CMAKE_CXX_STANDARD 14)", "set(CMAKE_CXX_STANDARD 17)"),
    (
        "horovod/common/operations.cc",
        "std::thread(BackgroundThreadLoop, std::ref(horovod_global));",
        MEET,
    ),
    (
        "horovod/common/operations.cc",
        "    // Reset initialization flag\n",
        "    horovod_global.initialization_failed = false;\n",
    ),
    (
        "horovod/common/gloo/gloo_context.cc",
        "void GlooContext::Finalize() {\n  if (!enabled_) {\n    return;\n  }\n",
        "void GlooContext::Finalize() {\n",  # a process set's own is never called enabled
    ),
)

MEMORY_PER_JOB_GB = 2  # a file that includes PyTorch's headers takes about 1.5 GB to compile

NCCL_HEADER = Path("include", "nccl.h")

# Run by the environment's interpreter, because the caller's may have no PyTorch.
PROBE = """
import json, platform, sys, sysconfig, torch
print(json.dumps({
    "torch": torch.__version__,
    "cuda": torch.version.cuda,
    "python": sys.implementation.cache_tag + sys.abiflags,
    "libc": "".join(platform.libc_ver()),
    "machine": platform.machine(),
    "site_packages": sysconfig.get_path("purelib"),
}))
"""


@dataclass(frozen=True)
class Target:
    """The environment that a wheel is built for."""

    python: Path
    torch: str
    cuda: str | None
    python_tag: str
    libc: str
    machine: str
    site_packages: Path


@dataclass(frozen=True)
class Nccl:
    """A CUDA toolkit with NCCL's header and library."""

    cuda_home: Path
    include: Path
    library: Path


@dataclass(frozen=True)
class WheelRecipe:
    """The recipe of a wheel: its target, its parts, and the number of compilers at a time."""

    target: Target
    nccl: Nccl | None
    mpi: bool
    jobs: int

    @property
    def flavour(self) -> str:
        """The parts in words: gloo or nccl, and mpi."""
        return ("nccl" if self.nccl else "gloo") + ("-mpi" if self.mpi else "")

    @property
    def key(self) -> str:
        """A name for the combination of everything that the compiled code depends on."""
        return self.key_of(self.flavour)

    @property
    def good_keys(self) -> list[str]:
        """Keys of builds that may stay: a build with NCCL also serves while CUDA is not found."""
        with_nccl = self.flavour.replace("gloo", "nccl")
        return [self.key, self.key_of(with_nccl)]

    def key_of(self, flavour: str) -> str:
        """Return the key for other parts."""
        target = self.target
        parts = [f"horovod-{VERSION}", f"torch-{target.torch}", target.python_tag]
        parts += [target.libc, target.machine, flavour]
        rest = repr((SDIST_SHA256, PATCH, target.cuda))
        return "_".join(parts) + "_" + hashlib.sha256(rest.encode()).hexdigest()[:8]


def probe(python: Path) -> Target:
    """Ask an environment's interpreter for its versions; raise `StepError` without PyTorch."""
    done = subprocess.run([str(python), "-c", PROBE], capture_output=True, text=True)
    if done.returncode != 0:
        raise StepError(
            f"{python} cannot import torch, which Horovod is built against:\n{done.stderr.strip()}"
        )
    seen = json.loads(done.stdout.splitlines()[-1])
    return Target(
        python=python,
        torch=seen["torch"],
        cuda=seen["cuda"],
        python_tag=seen["python"],
        libc=seen["libc"],
        machine=seen["machine"],
        site_packages=Path(seen["site_packages"]),
    )


def cache_root() -> Path:
    """Return the folder of built wheels."""
    own = os.environ.get("HVDTMA_CACHE")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hvdtma"
    return (Path(own) if own else shared).expanduser() / "wheels"


def gpu_parts() -> list[str]:
    """Return the paths of this machine's CUDA toolkits and NCCL headers; starts no program."""
    homes = cuda_homes()
    headers = [home / NCCL_HEADER for home in (*nccl_homes(), *homes)]
    found = [*homes, *(header for header in headers if header.exists())]
    return sorted({str(path.resolve()) for path in found})


def cuda_homes() -> list[Path]:
    """Return the folders of CUDA toolkits, of any version."""
    nvcc = shutil.which("nvcc")
    places = [os.environ.get("HOROVOD_CUDA_HOME"), os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    if nvcc:
        places.append(str(Path(nvcc).resolve().parent.parent))
    homes = (Path(place) for place in places if place)
    return [home for home in homes if (home / "bin" / "nvcc").exists()]


def nccl_homes() -> list[Path]:
    """Return the folders in which NCCL is looked for first; they may not exist."""
    own = os.environ.get("HOROVOD_NCCL_HOME")
    return [Path(place) for place in (own, "/usr", "/usr/local") if place]


def find_cuda_home(cuda: str) -> Path | None:
    """Return the folder of a CUDA toolkit of the same major version as `cuda`, or None."""
    major = cuda.split(".")[0]
    for home in cuda_homes():
        about = subprocess.run([home / "bin" / "nvcc", "--version"], capture_output=True)
        if f"release {major}.".encode() in about.stdout:
            return home
    return None


def find_nccl(target: Target) -> Nccl | None:
    """Return the CUDA toolkit and NCCL, or None if Horovod must be built without them.

    NCCL is looked for in HOROVOD_NCCL_HOME, in the system, and in the pip package that CUDA builds
    of PyTorch depend on.
    """
    cuda_home = find_cuda_home(target.cuda) if target.cuda else None
    if cuda_home is None:
        return None
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    homes = [*nccl_homes(), cuda_home, target.site_packages / "nvidia" / "nccl"]
    for home in (home for home in homes if (home / NCCL_HEADER).exists()):
        for lib in (home / "lib" / multiarch, home / "lib", home / "lib64"):
            for name in ("libnccl.so", "libnccl.so.2"):  # the pip package has the second only
                if (lib / name).exists():
                    return Nccl(cuda_home, home / "include", lib / name)
    return None


def check_build_tools(mpi: bool) -> None:
    """Raise `StepError` with every missing tool, before slow steps begin."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    missing = []
    if not (os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")):
        missing.append("a C++ compiler: apt-get install g++, or dnf install gcc-c++")
    if not shutil.which("make"):
        missing.append("make: apt-get install make")
    if not header.exists():
        missing.append(f"Python's headers ({header}): apt-get install python3-dev")
    if mpi and not shutil.which("mpirun"):
        missing.append("MPI: apt-get install libopenmpi-dev openmpi-bin")
    if missing:
        raise StepError("building Horovod needs, please install\n  - " + "\n  - ".join(missing))


def download_sdist(python: Path, folder: Path, log: Path) -> Path:
    """Fetch Horovod's source release and unpack it; return the unpacked folder.

    pip runs a release's code to read its metadata. Therefore pip checks the hash, before it
    unpacks the release.
    """
    wanted = folder / "horovod.txt"
    wanted.write_text(f"horovod=={VERSION} --hash=sha256:{SDIST_SHA256}\n")
    command: Command = [python, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    command += ["--no-build-isolation", "--require-hashes", "-r", wanted, "-d", folder]
    run_step("download Horovod's sources", command, log)
    with tarfile.open(folder / f"horovod-{VERSION}.tar.gz") as archive:
        # Python before 3.11.4 has no filters; the hash has been checked either way.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(folder)
    return folder / f"horovod-{VERSION}"


def apply_patch(source: Path) -> None:
    """Apply `PATCH`; raise `StepError` for sources that do not have each of its texts once."""
    for name, old, new in PATCH:
        path = source / name
        text = path.read_text()
        if text.count(old) != 1:
            raise StepError(f"expected the text '{old}' once in Horovod's {name}; not patched")
        path.write_text(text.replace(old, new))


def default_jobs() -> int:
    """Return how many files to compile at once: limited by cores and by memory."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return int(max(1, min(len(os.sched_getaffinity(0)), memory_gb // MEMORY_PER_JOB_GB)))


def build_switches(recipe: WheelRecipe, folder: Path) -> dict[str, str]:
    """Return the environment variables that Horovod's build reads."""
    switches = {
        "HOROVOD_WITH_PYTORCH": "1",
        "HOROVOD_WITHOUT_TENSORFLOW": "1",
        "HOROVOD_WITHOUT_MXNET": "1",
        "HOROVOD_WITH_GLOO": "1",
        "HOROVOD_WITH_MPI" if recipe.mpi else "HOROVOD_WITHOUT_MPI": "1",
        # Horovod asks for -j8 unless this is set; a calling make's own flags must not leak in.
        "MAKEFLAGS": f"-j{recipe.jobs}",
        # gloo asks for a CMake so old that CMake 4 refuses it; CMake 3 ignores this.
        "CMAKE_POLICY_VERSION_MINIMUM": "3.5",
        # CMake may come from PyPI and lie in the environment itself.
        "PATH": f"{recipe.target.python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    if recipe.nccl:
        links = folder / "nccl"
        links.mkdir()
        (links / "libnccl.so").symlink_to(recipe.nccl.library)  # the one name CMake looks for
        switches |= {
            "HOROVOD_GPU_OPERATIONS": "NCCL",
            "HOROVOD_CUDA_HOME": str(recipe.nccl.cuda_home),
            "CUDA_HOME": str(recipe.nccl.cuda_home),  # what PyTorch's part of the build reads
            "HOROVOD_NCCL_INCLUDE": str(recipe.nccl.include),
            "HOROVOD_NCCL_LIB": str(links),
            "HOROVOD_NCCL_LINK": "SHARED",
        }
    return switches


def build_wheel(recipe: WheelRecipe, shelf: Path, logs: Path) -> Path:
    """Compile Horovod, put the wheel into its folder `shelf` of the cache, and return its path."""
    check_build_tools(recipe.mpi)
    python = recipe.target.python
    with tempfile.TemporaryDirectory(prefix="hvdtma-horovod-") as name:
        folder = Path(name)
        source = download_sdist(python, folder, logs / "horovod-download.log")
        apply_patch(source)
        label = f"build Horovod ({recipe.flavour}, {recipe.jobs} files at once; "
        label += "takes minutes, the first time only)"
        command: Command = [python, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
        command += ["--use-pep517", "-w", folder / "wheel", source]
        run_step(label, command, logs / "horovod-build.log", build_switches(recipe, folder))
        (wheel,) = (folder / "wheel").glob("horovod-*.whl")
        shelf.mkdir(parents=True, exist_ok=True)
        half = shelf / f".{wheel.name}.{os.getpid()}"
        shutil.copyfile(wheel, half)
        half.replace(shelf / wheel.name)
    return shelf / wheel.name


def complaint_of(recipe: WheelRecipe) -> str | None:
    """Return None if the installed Horovod works and has the wanted parts, else its error."""
    parts = ["gloo"] + ["nccl"] * bool(recipe.nccl) + ["mpi"] * recipe.mpi
    code = "import horovod.torch as hvd\n"
    code += "".join(f"assert hvd.{part}_built(), 'built without {part}'\n" for part in parts)
    # From another folder: one named horovod in the current one would be imported instead.
    done = subprocess.run(
        [str(recipe.target.python), "-c", code],
        cwd=recipe.target.site_packages,
        capture_output=True,
        text=True,
    )
    return None if done.returncode == 0 else done.stderr.strip()


def ensure_horovod(python: Path, logs: Path, mpi: bool = False, jobs: int | None = None) -> None:
    """Make sure that the environment of `python` has a working Horovod.

    The installed one stays if it fits; else the cached wheel is installed, or a new one is built.
    Raises `StepError` if it cannot be built.
    """
    target = probe(python)
    recipe = WheelRecipe(target, find_nccl(target), mpi, jobs or default_jobs())
    note = target.site_packages / "hvdtma-horovod.txt"  # the key of the installed build
    there = note.read_text() if note.exists() else None
    if there in recipe.good_keys and complaint_of(recipe) is None:
        return
    shelf = cache_root() / recipe.key
    complaint = None
    for cached in (*shelf.glob("horovod-*.whl"), None):
        wheel = cached or build_wheel(recipe, shelf, logs)
        command: Command = [python, "-m", "pip", "install", "--no-deps"]
        command += ["--force-reinstall", wheel]
        run_step("install Horovod", command, logs / "horovod-install.log")
        complaint = complaint_of(recipe)
        if complaint is None:
            note.write_text(recipe.key)
            return
        wheel.unlink()  # built elsewhere, and does not work here
    raise StepError(f"Horovod was built but does not work:\n{complaint}")


def main() -> int:
    """Parse the command line, then build or take Horovod."""
    parser = argparse.ArgumentParser(description="Install Horovod, from the cache or built.")
    parser.add_argument("--python", type=Path, required=True, help="the environment's interpreter")
    parser.add_argument("--mpi", action="store_true", help="build with MPI too")
    parser.add_argument("--jobs", type=int, help="files compiled at once")
    parser.add_argument("--logs", type=Path, default=Path("build/logs"), help="where logs go")
    asked = parser.parse_args()
    try:
        # Absolute, but not resolved: the environment's python is a link to the system's.
        ensure_horovod(asked.python.absolute(), asked.logs.absolute(), asked.mpi, asked.jobs)
    except StepError as failure:
        print(f"build_horovod: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
