# The part of a job script that is the same in every job. What stands before it sets
#   work      the folder the command was given in, where relative paths of the deck start
#   folder    the folder of the run or study
#   launcher  what starts the ranks: srun or mpirun and its options
#   command   dualscape and its arguments
#   lock      what a process that works on the same locks; empty when several may
#   tries     how often a job may be started again, for whatever reason
# and defines set_up, which loads modules and sets the environment.

set -u
crashes_allowed=3
id=$SLURM_JOB_ID
[ -z "${SLURM_ARRAY_JOB_ID:-}" ] || id=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
restarts=${SLURM_RESTART_COUNT:-0}
crashes=$folder/slurm/crashes.$id
child=    # process of the launcher, once there is one
asked=    # whether a signal asked to stop: the time limit is near
caught=   # whether a signal ended a wait

say() { printf '%s  job %s: %s\n' "$(date '+%F %T')" "$id" "$*"; }

leave() {
  local status=$1
  shift
  say "$*"
  exit "$status"
}

# The batch system's signal comes to this script alone. Both launchers pass USR1 on to every rank, whose handler then
# leaves a checkpoint; TERM they would turn into the ranks' immediate end.
on_signal() {
  caught=1
  asked=$1
  say "got $1 ($2); asking the ranks for a checkpoint"
  [ -z "$child" ] || kill -s USR1 "$child"
}
trap 'on_signal USR1 "the time limit is near"' USR1
trap 'on_signal TERM "the job is to end"' TERM

# Leaves the launcher's exit status in $status.
run_command() {
  "${launcher[@]}" "${command[@]}" &
  child=$!
  # A trap ends a wait early; the shell keeps the child's status for the next one.
  while :; do
    caught=
    wait "$child"
    status=$?
    [ -n "$caught" ] || break
  done
  child=
}

# Puts this very job back into the queue, unless it is being cancelled or has had all its tries.
start_again() {
  local state
  # A controller too busy to answer is no reason to stop.
  state=$(squeue --noheader --jobs="$id" --format=%T 2>/dev/null) || state=RUNNING
  [ "$state" = RUNNING ] ||
    leave "$status" "not started again: the job is ${state:-gone}. Give the submit command again to continue."
  [ "$restarts" -lt "$tries" ] ||
    leave "$status" "not started again: all $tries tries are used. Give the submit command again to continue."
  say "back to the queue, try $((restarts + 1)) of $tries"
  trap - USR1 TERM
  scontrol requeue "$id" ||
    leave "$status" "this site does not let a job requeue itself. Give the submit command again to continue."
  # SLURM ends this script.
  sleep 60
  exit "$status"
}

say "start $restarts on ${SLURM_JOB_NODELIST:-an unknown node}"
cd -- "$work" || leave 2 "cannot enter $work"
set +u
set_up || leave 2 "the modules or the environment of the site file cannot be set up; see above"
set -u
[ "$restarts" -le "$tries" ] || leave 5 "all $tries tries are used. Give the submit command again to continue."
# A node that lost touch with the controller may still run what this job takes over.
if [ "$restarts" -gt 0 ] && [ -e "$lock" ] && command -v flock >/dev/null; then
  flock --timeout 300 -- "$lock" true || say "another process is at work in $folder"
fi
status=5
[ -n "$asked" ] || run_command
case $status in
  0) leave 0 "done" ;;
  2) leave 2 "status 2: the deck or the command line is wrong, see above; not started again" ;;
  3) leave 3 "status 3: the input data cannot be used, see above; not started again" ;;
  4) leave 4 "status 4: the computation failed or did not converge as asked, see above; not started again" ;;
  5)
    say "status 5: stopped with a checkpoint"
    rm -f "$crashes"
    start_again
    ;;
  126 | 127) leave "$status" "status $status: ${launcher[0]} or ${command[0]} cannot be started; not started again" ;;
esac
# Killed, or its node was lost. What is done is kept; a crash that keeps coming back is the program's own.
echo x >>"$crashes"
count=$(wc -l <"$crashes")
[ "$count" -lt "$crashes_allowed" ] ||
  leave "$status" "status $status: ended by force $count times; not started again"
say "status $status: ended by force ($count of $crashes_allowed times at most)"
start_again
