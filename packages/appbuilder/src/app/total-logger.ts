import type { Logger } from '@iopa/constants'
import { report } from '@iopa/context/host'

/** The logger for transports: what it throws, or rejects with, does not reach them. */
export const totalLogger = (logger: Logger): Logger => {
  const safely =
    (level: keyof Logger) =>
    (line: unknown, ...rest: unknown[]): void =>
      report({ error: (...data) => logger[level](...data) }, line as string, ...rest)
  return { error: safely('error'), warn: safely('warn'), info: safely('info'), debug: safely('debug') }
}
