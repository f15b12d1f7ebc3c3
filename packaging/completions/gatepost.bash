# Completion of gatepost(8) for bash; from the program's own table of commands.

_gatepost() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local command='' words i
  COMPREPLY=()
  case $previous in
    --config) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --from|--helo|--hostname|--interval|--iterations|--local|--mail-from|--port|--rcpt|--tcp-port|--tls-port|--to|--user|--via|-F|-f) return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --config) ((i++)) ;;
      -*) ;;
      *) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  case $command in
    '') words='serve check init passwd certificate explain tell reload status top health sessions devices queue unban sendmail test-mail try help --config --help --version' ;;
    serve) words='--config --help --version' ;;
    check) words='--start --config --help --version' ;;
    init) words='--hostname --tcp-port --tls-port --system --config --help --version' ;;
    passwd) words='--iterations --config --help --version' ;;
    certificate) words='--force --config --help --version' ;;
    explain) words='--from --port --tls --user --helo --mail-from --rcpt --warnings --config --help --local --version' ;;
    tell) words='--config --help --version config quit smtp update' ;;
    reload) words='--config --help --version' ;;
    status) words='--format --json --config --help --version json prometheus text' ;;
    top) words='--interval --once --config --help --version' ;;
    health) words='--json --config --help --version' ;;
    sessions) words='--json --config --help --version kill' ;;
    devices) words='--json --config --help --version forget' ;;
    queue) words='--json --all --to --config --help --version delete hold list release retry show' ;;
    unban) words='--config --help --version' ;;
    sendmail) words='-t -i -f -F -v --config --help --version' ;;
    test-mail) words='--to --from --via --user --tls --config --help --version smarthost' ;;
    try) words='--once --keep --tcp-port --tls-port --config --help --version' ;;
    help) words='--config --help --version certificate check devices explain health help init passwd queue reload sendmail serve sessions status tell test-mail top try unban' ;;
    *) return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}

complete -o filenames -F _gatepost gatepost
