import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_LIMITS, type SecuredChannel, type SecuredEnd, type SecuredPeer, systemClock } from '@iopa/transport'
import { datagramNetwork } from '@iopa/transport/node'
import { expect } from 'vitest'
import { type DtlsOptions, dtls } from '../src/index.ts'

/** A program that runs, with what it has printed. */
export interface Program {
  readonly process: ChildProcess
  output(): string
  /** Resolves with the output when that matches; rejects with it after some seconds. */
  shows(pattern: RegExp, patience?: number): Promise<string>
  write(text: string): void
  /** Ends it, and resolves when it has ended. */
  end(): Promise<void>
}

const PATIENCE = 8000
/** No program outlives a test by more than this. */
const LONGEST = 20_000

export function start(program: string, args: readonly string[]): Program {
  const child = spawn(program, args, { stdio: 'pipe' })
  let text = ''
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const check of [...waiting]) check()
  }
  const append = (chunk: Buffer): void => {
    text += chunk.toString('latin1')
    wake()
  }
  child.stdout.on('data', append)
  child.stderr.on('data', append)
  child.stdin.on('error', () => {})
  const closed = new Promise<void>(resolve => child.once('close', () => resolve()))
  const limit = setTimeout(() => child.kill('SIGKILL'), LONGEST)
  void closed.then(() => {
    clearTimeout(limit)
    wake()
  })
  return {
    process: child,
    output: () => text,
    shows: (pattern, patience = PATIENCE) =>
      new Promise((resolve, reject) => {
        const settle = (error?: Error): void => {
          waiting.delete(check)
          clearTimeout(timer)
          if (error === undefined) resolve(text)
          else reject(error)
        }
        const failure = (): Error => new Error(`${program} ${args.join(' ')} has not shown ${pattern} but:\n${text}`)
        const check = (): void => {
          if (pattern.test(text)) settle()
          else if (child.exitCode !== null) settle(failure())
        }
        const timer = setTimeout(() => settle(failure()), patience)
        waiting.add(check)
        check()
      }),
    write: line => void child.stdin.write(line),
    end: async () => {
      child.stdin.end()
      if (child.exitCode === null) child.kill('SIGKILL')
      await closed
    }
  }
}

/** Files for one test file, in a folder that `remove` deletes. */
export function files(contents: Readonly<Record<string, string | Uint8Array>>): { path(name: string): string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'iopa-dtls-'))
  for (const [name, content] of Object.entries(contents)) writeFileSync(join(folder, name), content)
  return { path: name => join(folder, name), remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** A channel of ours on a socket of the machine, with what it has reported. */
export interface RealChannel extends AsyncDisposable {
  readonly channel: SecuredChannel
  readonly port: number
  readonly opened: SecuredPeer[]
  readonly received: string[]
  readonly closed: SecuredEnd[]
  readonly refused: string[]
  connect(port: number, host?: string): Promise<SecuredPeer>
}

/** Opens one. `answer` gives the datagram for one that has come; without it each comes back as it was. */
export async function realChannel(
  options: DtlsOptions,
  accept: boolean,
  answer = (bytes: Uint8Array): Uint8Array | undefined => bytes
): Promise<RealChannel> {
  const below = await datagramNetwork().bind({ host: '127.0.0.1', port: 0 })
  const refused: string[] = []
  const channel = dtls(options).over(below, {
    clock: systemClock,
    limits: DEFAULT_LIMITS,
    logger: console,
    accept,
    refused: (_, code) => refused.push(code)
  })
  const real = { opened: [] as SecuredPeer[], received: [] as string[], closed: [] as SecuredEnd[] }
  channel.open({
    opened: peer => void real.opened.push(peer),
    message: (bytes, peer) => {
      real.received.push(Buffer.from(bytes).toString('latin1'))
      const answered = accept ? answer(bytes) : undefined
      if (answered !== undefined) peer.send(answered)
    },
    closed: (_, reason) => void real.closed.push(reason),
    error: () => {}
  })
  return {
    ...real,
    channel,
    refused,
    port: channel.localPort,
    connect: (port, host = 'lamp.example') => channel.connect({ address: '127.0.0.1', port, host }, AbortSignal.timeout(PATIENCE)),
    [Symbol.asyncDispose]: () => channel.close()
  }
}

/** Resolves when it holds; rejects after some seconds. */
export const holds = (condition: () => boolean): Promise<void> => expect.poll(condition, { timeout: PATIENCE, interval: 10 }).toBe(true)
