# Completion of gatepost(8) for fish; from the program's own table of commands.

set -l commands serve check init passwd certificate explain tell reload status top health sessions devices queue unban sendmail test-mail try help
complete -c gatepost -f
complete -c gatepost -l config -r -F
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a serve -d 'runs the service in the foreground'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a check -d 'names every error and warning of the configuration, then what each port admits'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a init -d 'writes a working set-up into an empty folder'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a passwd -d 'sets a user\'s password, and makes the user if need be'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a certificate -d 'makes a new self-signed certificate for hostname, with its key'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a explain -d 'says why a message is or would be refused, step by step'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a tell -d 'tells the running service to take up a changed configuration, or to end'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a reload -d 'is tell smtp update config'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a status -d 'shows what the running service does'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a top -d 'shows live what the running service does: ports, sessions, rates, queue'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a health -d 'says whether the running service takes mail, for watchdogs and containers'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a sessions -d 'lists the sessions of the running service, or ends one'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a devices -d 'shows what each client did last, what is wrong with it, and what helps'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a queue -d 'lists and changes what waits to be delivered'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a unban -d 'makes the running service forget the failed logins of an address or a user'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a sendmail -d 'takes a message of a local program, as sendmail(8) does'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a test-mail -d 'sends a test message and tells how each step went'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a try -d 'sets up a server in a temporary folder, sends it mail, and shows where it went'
complete -c gatepost -n "not __fish_seen_subcommand_from $commands" -a help -d 'says what commands there are, or how one is used'
complete -c gatepost -n '__fish_seen_subcommand_from serve' -l help
complete -c gatepost -n '__fish_seen_subcommand_from serve' -l version
complete -c gatepost -n '__fish_seen_subcommand_from check' -l start
complete -c gatepost -n '__fish_seen_subcommand_from check' -l help
complete -c gatepost -n '__fish_seen_subcommand_from check' -l version
complete -c gatepost -n '__fish_seen_subcommand_from init' -l hostname -x
complete -c gatepost -n '__fish_seen_subcommand_from init' -l tcp-port -x
complete -c gatepost -n '__fish_seen_subcommand_from init' -l tls-port -x
complete -c gatepost -n '__fish_seen_subcommand_from init' -l system
complete -c gatepost -n '__fish_seen_subcommand_from init' -l help
complete -c gatepost -n '__fish_seen_subcommand_from init' -l version
complete -c gatepost -n '__fish_seen_subcommand_from passwd' -l iterations -x
complete -c gatepost -n '__fish_seen_subcommand_from passwd' -l help
complete -c gatepost -n '__fish_seen_subcommand_from passwd' -l version
complete -c gatepost -n '__fish_seen_subcommand_from certificate' -l force
complete -c gatepost -n '__fish_seen_subcommand_from certificate' -l help
complete -c gatepost -n '__fish_seen_subcommand_from certificate' -l version
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l from -x
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l port -x
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l tls
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l user -x
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l helo -x
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l mail-from -x
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l rcpt -x
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l warnings
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l help
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l local -x
complete -c gatepost -n '__fish_seen_subcommand_from explain' -l version
complete -c gatepost -n '__fish_seen_subcommand_from tell' -l help
complete -c gatepost -n '__fish_seen_subcommand_from tell' -l version
complete -c gatepost -n '__fish_seen_subcommand_from tell' -a 'config quit smtp update'
complete -c gatepost -n '__fish_seen_subcommand_from reload' -l help
complete -c gatepost -n '__fish_seen_subcommand_from reload' -l version
complete -c gatepost -n '__fish_seen_subcommand_from status' -l format
complete -c gatepost -n '__fish_seen_subcommand_from status' -l json
complete -c gatepost -n '__fish_seen_subcommand_from status' -l help
complete -c gatepost -n '__fish_seen_subcommand_from status' -l version
complete -c gatepost -n '__fish_seen_subcommand_from status' -a 'json prometheus text'
complete -c gatepost -n '__fish_seen_subcommand_from top' -l interval -x
complete -c gatepost -n '__fish_seen_subcommand_from top' -l once
complete -c gatepost -n '__fish_seen_subcommand_from top' -l help
complete -c gatepost -n '__fish_seen_subcommand_from top' -l version
complete -c gatepost -n '__fish_seen_subcommand_from health' -l json
complete -c gatepost -n '__fish_seen_subcommand_from health' -l help
complete -c gatepost -n '__fish_seen_subcommand_from health' -l version
complete -c gatepost -n '__fish_seen_subcommand_from sessions' -l json
complete -c gatepost -n '__fish_seen_subcommand_from sessions' -l help
complete -c gatepost -n '__fish_seen_subcommand_from sessions' -l version
complete -c gatepost -n '__fish_seen_subcommand_from sessions' -a 'kill'
complete -c gatepost -n '__fish_seen_subcommand_from devices' -l json
complete -c gatepost -n '__fish_seen_subcommand_from devices' -l help
complete -c gatepost -n '__fish_seen_subcommand_from devices' -l version
complete -c gatepost -n '__fish_seen_subcommand_from devices' -a 'forget'
complete -c gatepost -n '__fish_seen_subcommand_from queue' -l json
complete -c gatepost -n '__fish_seen_subcommand_from queue' -l all
complete -c gatepost -n '__fish_seen_subcommand_from queue' -l to -x
complete -c gatepost -n '__fish_seen_subcommand_from queue' -l help
complete -c gatepost -n '__fish_seen_subcommand_from queue' -l version
complete -c gatepost -n '__fish_seen_subcommand_from queue' -a 'delete hold list release retry show'
complete -c gatepost -n '__fish_seen_subcommand_from unban' -l help
complete -c gatepost -n '__fish_seen_subcommand_from unban' -l version
complete -c gatepost -n '__fish_seen_subcommand_from sendmail' -s t
complete -c gatepost -n '__fish_seen_subcommand_from sendmail' -s i
complete -c gatepost -n '__fish_seen_subcommand_from sendmail' -s f -x
complete -c gatepost -n '__fish_seen_subcommand_from sendmail' -s F -x
complete -c gatepost -n '__fish_seen_subcommand_from sendmail' -s v
complete -c gatepost -n '__fish_seen_subcommand_from sendmail' -l help
complete -c gatepost -n '__fish_seen_subcommand_from sendmail' -l version
complete -c gatepost -n '__fish_seen_subcommand_from test-mail' -l to -x
complete -c gatepost -n '__fish_seen_subcommand_from test-mail' -l from -x
complete -c gatepost -n '__fish_seen_subcommand_from test-mail' -l via -x
complete -c gatepost -n '__fish_seen_subcommand_from test-mail' -l user -x
complete -c gatepost -n '__fish_seen_subcommand_from test-mail' -l tls
complete -c gatepost -n '__fish_seen_subcommand_from test-mail' -l help
complete -c gatepost -n '__fish_seen_subcommand_from test-mail' -l version
complete -c gatepost -n '__fish_seen_subcommand_from test-mail' -a 'smarthost'
complete -c gatepost -n '__fish_seen_subcommand_from try' -l once
complete -c gatepost -n '__fish_seen_subcommand_from try' -l keep
complete -c gatepost -n '__fish_seen_subcommand_from try' -l tcp-port -x
complete -c gatepost -n '__fish_seen_subcommand_from try' -l tls-port -x
complete -c gatepost -n '__fish_seen_subcommand_from try' -l help
complete -c gatepost -n '__fish_seen_subcommand_from try' -l version
complete -c gatepost -n '__fish_seen_subcommand_from help' -l help
complete -c gatepost -n '__fish_seen_subcommand_from help' -l version
complete -c gatepost -n '__fish_seen_subcommand_from help' -a 'certificate check devices explain health help init passwd queue reload sendmail serve sessions status tell test-mail top try unban'
