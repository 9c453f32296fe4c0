import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { describe, expect, test } from 'vitest'

const isInstalled = (): boolean => {
  try {
    execFileSync('sh', ['-c', 'command -v openssl'], { stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}

/** Tests with the program `openssl`: skipped by name without it, or failed when IOPA_REQUIRE_PEERS is 1. */
export const describeWithOpenssl = (name: string, tests: () => void): void => {
  const title = `${name} (openssl)`
  if (isInstalled()) describe(title, { retry: 2 }, tests)
  else if (process.env['IOPA_REQUIRE_PEERS'] === '1') test(title, () => expect.unreachable('openssl is not installed'))
  else describe.skip(title, tests)
}

/** A running `openssl`, which ends with its input or after eight seconds. */
export interface Openssl {
  readonly child: ChildProcess
  write(text: string): void
  /** Resolves when the output matches; rejects with the output when it does not within the time. */
  shows(pattern: RegExp, limit?: number): Promise<string>
  end(): void
}

export const openssl = (...args: readonly string[]): Openssl => {
  const child = spawn('openssl', args, { stdio: 'pipe' })
  let text = ''
  const checks = new Set<() => void>()
  const append = (chunk: Buffer): void => {
    text += chunk.toString('latin1')
    for (const check of [...checks]) check()
  }
  child.stdout.on('data', append)
  child.stderr.on('data', append)
  child.stdin.on('error', () => {})
  const limit = setTimeout(() => child.kill('SIGKILL'), 14_000)
  child.once('close', () => clearTimeout(limit))
  return {
    child,
    write: line => void child.stdin.write(line),
    end: () => void child.kill('SIGKILL'),
    shows: (pattern, most = 8000) =>
      new Promise((resolve, reject) => {
        const settle = (error?: Error): void => {
          checks.delete(check)
          clearTimeout(timer)
          if (error === undefined) resolve(text)
          else reject(error)
        }
        const check = (): void => {
          if (pattern.test(text)) settle()
        }
        const timer = setTimeout(() => settle(new Error(`openssl ${args.join(' ')} has not shown ${pattern} but:\n${text}`)), most)
        checks.add(check)
        check()
      })
  }
}
