import type { LogRecord } from '@iopa/log'

/** What `kept` gives. */
export interface Kept {
  readonly to: (line: string, record: LogRecord) => void
  readonly lines: string[]
  readonly records: LogRecord[]
  readonly of: (event: LogRecord['event']) => LogRecord[]
}

/** A destination that keeps what it gets. */
export const kept = (): Kept => {
  const lines: string[] = []
  const records: LogRecord[] = []
  const to = (line: string, record: LogRecord): void => {
    lines.push(line)
    records.push(record)
  }
  return { to, lines, records, of: (event: LogRecord['event']) => records.filter(record => record.event === event) }
}
