import type { LogRecord } from '@iopa/log'

/** A destination that keeps what it gets. */
export const kept = () => {
  const lines: string[] = []
  const records: LogRecord[] = []
  const to = (line: string, record: LogRecord): void => {
    lines.push(line)
    records.push(record)
  }
  return { to, lines, records, of: (event: LogRecord['event']) => records.filter(record => record.event === event) }
}
