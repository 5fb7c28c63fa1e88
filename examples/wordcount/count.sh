#!/bin/sh
# Counts the words of each licence text, ROUNDS times over. Its checkpoint is the number of rounds done and their sums.
set -eu
leave=0
trap 'leave=1' TERM
state=$HEADRACE_CHECKPOINT_DIR/state
round=0
sum=0
if [ -f "$state" ]; then
    read -r round sum <"$state"
    echo "epoch $HEADRACE_EPOCH on $HEADRACE_ARCH: goes on after round $round"
fi
while [ "$round" -lt "$ROUNDS" ]; do
    for text in /usr/share/common-licenses/*; do
        words=$(wc -w <"$text")
        sum=$(((sum * 31 + words) % 1000000007))
    done
    round=$((round + 1))
    echo "$round $sum" >"$state.new"
    mv "$state.new" "$state"
    echo "round $round of $ROUNDS: $sum"
    if [ "$leave" = 1 ]; then
        echo "saved after round $round"
        exit 85
    fi
    # In the background, so that the trap runs at once and not when the sleep is over.
    sleep 0.5 &
    wait $! || true
done
echo "$sum" >"$HEADRACE_OUTPUT_DIR/sum"
echo "done: $sum"
