// Runs pnpm without its being installed: corepack's signature check fails against some registries.
import { spawn } from 'node:child_process'

const PNPM = 'pnpm@10.34.9'

/** Runs a command with the terminal's own streams; resolves with its exit code. Interrupts reach the child by themselves. */
export const run = (command, args, env = {}, folder = undefined) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', cwd: folder, shell: process.platform === 'win32', env: { ...process.env, ...env } })
    const ignore = () => undefined
    process.on('SIGINT', ignore)
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      process.off('SIGINT', ignore)
      resolve(signal === 'SIGINT' ? 0 : (code ?? 1))
    })
  })

/** Runs pnpm with arguments. */
export const pnpm = (args, env) => run('npx', ['--yes', PNPM, ...args], env)

/** Runs steps in order and ends the process at the first that fails. */
export const steps = async list => {
  for (const step of list) {
    const code = await step()
    if (code !== 0) process.exit(code)
  }
}
