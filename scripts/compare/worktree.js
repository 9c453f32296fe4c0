// The other side of a comparison: a git worktree of a commit, outside this checkout, installed and built.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const here = new URL('../..', import.meta.url)
const shell = process.platform === 'win32'
const quiet = (command, args, cwd) => execFileSync(command, args, { cwd, shell, stdio: ['ignore', 'ignore', 'inherit'] })
const pnpm = (args, cwd) => quiet('npx', ['--yes', 'pnpm@10.34.9', ...args], cwd)

/** Builds the packages of this checkout. */
export const buildHere = () => pnpm(['--silent', 'run', 'build'], here)

/** `{ folder, remove() }` of a commit; a folder that is named instead of a commit is used as it is, and stays. */
export const worktreeOf = commit => {
  if (existsSync(join(commit, 'package.json'))) return { folder: resolve(commit), remove: () => undefined }
  const parent = mkdtempSync(join(tmpdir(), 'iopa-compare-'))
  const folder = join(parent, 'tree')
  const remove = () => {
    rmSync(parent, { recursive: true, force: true })
    quiet('git', ['worktree', 'prune'], here)
  }
  try {
    quiet('git', ['worktree', 'add', '--quiet', '--detach', folder, commit], here)
    pnpm(['--silent', 'install', '--frozen-lockfile', '--prefer-offline'], folder)
    pnpm(['--silent', 'run', 'build'], folder)
  } catch (cause) {
    remove()
    throw new Error(`no worktree of ${commit}`, { cause })
  }
  return { folder, remove }
}
