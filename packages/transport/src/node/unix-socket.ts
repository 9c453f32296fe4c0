import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { isMainThread } from 'node:worker_threads'

/** What a server of node:net has, as far as it is needed here. */
interface PathServer {
  listen(options: object, listening: () => void): unknown
  once(event: string, listener: (error: Error) => void): unknown
  off(event: string, listener: (error: Error) => void): unknown
}

const OWNER_ALONE = 0o600

/** Listens on a UNIX socket with these permissions; a file that a process has left behind is replaced, anything else is not touched. */
export const listenOnPath = (
  server: PathServer,
  options: { readonly path: string; readonly backlog: number },
  mode: number = OWNER_ALONE,
  ready: () => void,
  failed: (error: Error) => void
): void => {
  const attempt = (inUse: (error: Error) => void): void => {
    server.once('error', inUse)
    const listening = (): void => {
      server.off('error', inUse)
      ready()
    }
    if (!isMainThread) {
      // A thread has no umask of its own: for a moment the permissions are those of the process.
      server.listen(options, () => {
        chmodSync(options.path, mode)
        listening()
      })
      return
    }
    // The file is made within the call: no other process can connect before its permissions are set.
    const umask = process.umask(0o777 & ~mode)
    try {
      server.listen(options, listening)
    } finally {
      process.umask(umask)
    }
  }
  attempt(error => {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !isSocket(options.path)) {
      failed(error)
      return
    }
    const probe = connect(options.path)
    probe.once('connect', () => {
      probe.destroy()
      failed(error)
    })
    probe.once('error', (refused: NodeJS.ErrnoException) => {
      if (refused.code !== 'ECONNREFUSED') {
        failed(error)
        return
      }
      unlinkSync(options.path)
      attempt(failed)
    })
  })
}

const isSocket = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true
