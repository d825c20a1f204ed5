# Sourced by the download scripts: runs a Python script of this folder.

run_python() {  # FILE ARGUMENT...
    local here python script
    here="$(dirname "${BASH_SOURCE[0]}")"
    python="$here/../.venv/bin/python"  # created by scripts/setup.sh
    [ -x "$python" ] || python=python3
    python="${PYTHON:-$python}"
    script="$here/$1"
    shift

    if ! "$python" -c "import PIL, tqdm" 2>/dev/null; then
        echo "error: $python lacks Pillow or tqdm: activate an environment with" \
            "requirements.txt, or set PYTHON to its python" >&2
        exit 2
    fi
    exec "$python" "$script" "$@"
}
