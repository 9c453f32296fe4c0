import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'

const isInstalled = (program: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}

/** Tests that talk to a program of others: skipped by name without it, or failed when IOPA_REQUIRE_PEERS is 1. */
export function describeWith(program: string, name: string, tests: () => void): void {
  const title = `${name} (${program})`
  // Programs of others know no virtual clock: what they see of a stalled machine is tried again.
  if (isInstalled(program)) describe(title, { retry: 2 }, tests)
  else if (process.env['IOPA_REQUIRE_PEERS'] === '1') test(title, () => expect.unreachable(`${program} is not installed`))
  else describe.skip(title, tests)
}
