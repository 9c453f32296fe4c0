import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { errorCode } from './file-system.ts'

/** Names a process for as long as the machine runs: an id of a process alone is given again. */
export interface ProcessIdentity {
  readonly host: string
  /** The start of the machine; empty where the system does not tell. */
  readonly boot: string
  readonly pid: number
  /** When the process started, in ticks of the system; empty where it does not tell. */
  readonly started: string
}

const readText = (path: string): string => {
  try {
    return readFileSync(path, 'latin1').trim()
  } catch {
    return ''
  }
}

/** Field 22 of /proc/PID/stat, behind the name of the program, which may have spaces and brackets. */
const startOf = (pid: number): string => {
  const stat = readText(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

export const thisProcess = (): ProcessIdentity => ({
  host: hostname(),
  boot: readText('/proc/sys/kernel/random/boot_id'),
  pid: process.pid,
  started: startOf(process.pid)
})

/** True unless it is certain that the process has ended. */
export const mayRun = ({ host, boot, pid, started }: ProcessIdentity): boolean => {
  const own = thisProcess()
  // On another machine, or in a container with a name of its own.
  if (boot === '' || own.boot === '' ? host !== own.host : boot !== own.boot && host !== own.host) return true
  if (boot !== own.boot) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it runs, as another user.
    if (errorCode(error) === 'ESRCH') return false
  }
  return started === '' || startOf(pid) === started
}
