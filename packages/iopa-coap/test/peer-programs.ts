import { type ChildProcess, spawn } from 'node:child_process'

/** A message as libcoap prints it with `-v 6`. */
export interface PrintedMessage {
  readonly type: string
  /** `GET` for requests, `2.05` for responses, `0.00` for empty messages. */
  readonly code: string
  readonly id: string
  readonly token: string
  /** `Name:value` each, in order. */
  readonly options: readonly string[]
  readonly payload: string | undefined
}

const PRINTED =
  /v:(?:1|Reliable|TCP|TLS|WS|WSS|UDP) (?:t:(\w+) )?c:([\w.]+) (?:i:(\w+) )?\{(\w*)\} \[ ?(.*?) ?\](?: :: '([\s\S]*?)'(?=\n)| :: (?:binary data length \d+\s*)?)?/g

/** The messages in what libcoap has printed, sent and received ones. */
const printedMessages = (text: string): PrintedMessage[] =>
  Array.from(text.matchAll(PRINTED), ([, type = '', code = '', id = '', token = '', options = '', payload]) => ({
    type,
    code,
    id,
    token,
    options: options === '' ? [] : options.split(', '),
    payload
  }))

/** What a run of coap-client has shown. */
export interface ClientRun {
  readonly text: string
  readonly messages: readonly PrintedMessage[]
  /** Only what the server said. */
  readonly received: readonly PrintedMessage[]
}

const REQUESTS = new Set(['GET', 'POST', 'PUT', 'DELETE', 'FETCH', 'PATCH', 'iPATCH'])

/** A coap-client that runs; `done` resolves when it has ended. It never rejects: the exit code says nothing. */
export interface RunningClient {
  readonly process: ChildProcess
  readonly done: Promise<ClientRun>
  /** What has been printed so far. */
  output(): string
  /** Resolves when the output matches; rejects with the output after `limit` ms. */
  shows(pattern: RegExp, limit?: number): Promise<void>
}

export function startClient(program: string, args: readonly string[], input?: string): RunningClient {
  const child = spawn(program, args, { stdio: 'pipe' })
  let text = ''
  const waiting = new Set<() => void>()
  const append = (chunk: Buffer): void => {
    text += chunk.toString('latin1')
    for (const check of [...waiting]) check()
  }
  child.stdout.on('data', append)
  child.stderr.on('data', append)
  // A program that has ended at once reads nothing; its output says why.
  child.stdin.on('error', () => {})
  child.stdin.end(input ?? '')
  const done = new Promise<ClientRun>(resolve => {
    child.once('close', () => {
      const messages = printedMessages(text)
      resolve({ text, messages, received: messages.filter(({ code }) => !REQUESTS.has(code)) })
    })
  })
  return {
    process: child,
    done,
    output: () => text,
    shows: (pattern, limit = 8000) =>
      new Promise((resolve, reject) => {
        const settle = (error?: Error): void => {
          waiting.delete(check)
          clearTimeout(timer)
          if (error) reject(error)
          else resolve()
        }
        const check = (): void => {
          if (pattern.test(text)) settle()
        }
        const timer = setTimeout(() => settle(new Error(`${program} ${args.join(' ')} has not shown ${pattern} but:\n${text}`)), limit)
        waiting.add(check)
        child.once('close', () =>
          setImmediate(() => settle(pattern.test(text) ? undefined : new Error(`${program} ended without ${pattern}:\n${text}`)))
        )
        check()
      })
  }
}

/** Runs a coap-client to its end, five seconds at most, and gives everything that it printed. */
export const runClient = (program: string, ...args: readonly string[]): Promise<ClientRun> =>
  startClient(program, ['-v', '6', '-B', '5', ...args]).done
