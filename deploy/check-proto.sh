#!/bin/sh
# The contract: style, that nothing breaks what the last commit of main promised, and that headrace/v1 was generated
# from it.
set -eu
cd "$(dirname "$0")/.."
version=1.75.0
buf=.headrace/node/node_modules/.bin/buf

if [ "$("$buf" --version 2>/dev/null || true)" != "$version" ]; then
    .venv/bin/python -m deploy.local packages --check
    echo "· installing buf $version from npm …"
    mkdir -p .headrace/node
    npm install --silent --no-audit --no-fund --no-save --prefix .headrace/node "@bufbuild/buf@$version" >/dev/null
fi

echo "· buf lint"
"$buf" lint

# Where the tree holds what main's last commit does, as on main itself, the commit before is the promise.
against=
for commit in main main~1; do
    if git cat-file -e "$commit:buf.yaml" 2>/dev/null && ! git diff --quiet "$commit" -- proto; then
        against=$commit
        break
    fi
done
if ! git cat-file -e main 2>/dev/null; then
    echo "· buf breaking: skipped, since there is no branch main here to compare with"
elif [ -n "$against" ]; then
    echo "· buf breaking, against $against"
    "$buf" breaking --against ".git#ref=$(git rev-parse "$against")"
else
    echo "· buf breaking: the contract is as main has it"
fi

echo "· headrace/v1 is what proto/ generates"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
sh deploy/proto.sh "$fresh"
diff -r --exclude=__init__.py --exclude=__pycache__ headrace/v1 "$fresh/headrace/v1" || {
    echo "headrace/v1 is not what proto/ generates: run \`make proto\` and commit the result" >&2
    exit 1
}
