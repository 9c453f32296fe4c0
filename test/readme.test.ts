// Runs what the documents show. A comment on the line before a block of code says what the block is:
//   <!-- run -->         a program: it is type-checked and run, and its `app` is closed afterwards
//   <!-- more -->        the rest of the program before it
//   <!-- file a.ts -->   a file that later programs of the page import
//   <!-- types -->       a program that is only type-checked: it needs a certificate, another machine, a public address
//   <!-- test -->        a test file: its tests run among these
//   <!-- prints -->      what the program before it prints
//   <!-- shell -->       commands for the app of the program before it, each followed by the output that must come: `# ...`
//   <!-- sketch -->      a shape, no program
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { format, promisify } from 'node:util'
import type { App } from '@iopa/appbuilder'
import { afterAll, describe, expect, test, vi } from 'vitest'

interface Block {
  readonly line: number
  readonly mark: string
  readonly name: string
  readonly language: string
  readonly text: string
}

interface Program {
  readonly line: number
  readonly mark: string
  readonly file: string
  text: string
  printed?: string
  readonly commands: { readonly line: number; readonly command: string; readonly output: string[] }[]
}

const root = resolve(import.meta.dirname, '..')
// A folder that git, biome and a later run pass over.
const built = join(root, 'test/dist/readme')

const documentsOf = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.md') && !file.includes('node_modules'))
    .map(file => join(folder, file))
const documents = [...readdirSync(root).filter(file => file.endsWith('.md')), ...['docs', 'examples', 'packages'].flatMap(documentsOf)].sort()

const blocksOf = (text: string): Block[] =>
  [...text.matchAll(/(?:<!-- (\w+) ?([\w.-]*) -->\n)?^```(\w*)\n(.*?)^```$/gms)].map(match => ({
    line: text.slice(0, match.index).split('\n').length,
    mark: match[1] ?? '',
    name: match[2] ?? '',
    language: match[3] ?? '',
    text: match[4] ?? ''
  }))

const commandsOf = (block: Block): Program['commands'] => {
  const commands: Program['commands'] = []
  block.text.split('\n').forEach((line, at) => {
    if (line.startsWith('# ')) commands.at(-1)?.output.push(line.slice(2))
    else if (line !== '') commands.push({ line: block.line + at, command: line, output: [] })
  })
  return commands
}

const programsOf = (document: string): Program[] => {
  const programs: Program[] = []
  const folder = join(built, document.replace(/\W+/g, '-'))
  for (const block of blocksOf(readFileSync(join(root, document), 'utf8'))) {
    const last = programs.at(-1)
    if (['run', 'types', 'test', 'file'].includes(block.mark)) {
      const file = join(folder, block.name || `line-${block.line}.${block.language}`)
      programs.push({ line: block.line, mark: block.mark, file, text: block.text, commands: [] })
    } else if (last !== undefined && block.mark === 'more') last.text += block.text
    else if (last !== undefined && block.mark === 'prints') last.printed = block.text.trimEnd()
    else if (last !== undefined && block.mark === 'shell') last.commands.push(...commandsOf(block))
  }
  return programs
}

/** Ports that a program names, by transport: the tests let the system choose. */
const portsOf = (text: string): Map<string, string> =>
  new Map([...text.matchAll(/\b(\w+)\(\{[^}]*?\bport: (\d+)/g)].map(match => [match[1] as string, match[2] as string]))

const write = ({ file, text }: Program): void => {
  const footer = /^const app = /m.test(text) ? '\nexport { app }\n' : '\nexport {}\n'
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text.replace(/\bport: \d+/g, 'port: 0') + footer)
}

const run = promisify(execFile)
const present = async (program: string): Promise<boolean> =>
  run('sh', ['-c', `command -v ${program}`]).then(
    () => true,
    () => false
  )

const follow = async (command: string, output: readonly string[]): Promise<void> => {
  const child: ChildProcess = spawn('sh', ['-c', command], { detached: true })
  let text = ''
  child.stdout?.on('data', data => (text += data))
  child.stderr?.on('data', data => (text += data))
  const gone = new Promise<void>(end => child.once('close', () => end()))
  const heard = (): boolean => output.every(line => text.includes(line))
  for (const end = Date.now() + 5000; !heard() && child.exitCode === null && Date.now() < end; ) await new Promise(next => setTimeout(next, 10))
  // A command that watches does not end by itself.
  if (output.length > 0 && child.exitCode === null && child.pid !== undefined) process.kill(-child.pid)
  await gone
  expect(text, command).toSatisfy(heard)
}

const programs = new Map(documents.map(document => [document, programsOf(document)]))
const all = [...programs.values()].flat()
rmSync(built, { recursive: true, force: true })
for (const program of all) write(program)
afterAll(() => rmSync(built, { recursive: true, force: true }))

const tools = [
  ...new Set(all.flatMap(({ commands }) => commands.flatMap(({ command }) => command.split('|').map(part => part.trim().split(' ')[0] as string))))
]
const missing = (await Promise.all(tools.map(async tool => ((await present(tool)) ? [] : [tool])))).flat()
const required = process.env['IOPA_REQUIRE_PEERS'] === '1'

describe.each([...programs].filter(([, found]) => found.length > 0))('%s', async (_, found) => {
  for (const { line, mark, file, text, printed, commands } of found) {
    if (mark === 'test') {
      await import(file)
      continue
    }
    if (mark !== 'run') continue
    const needed = missing.filter(tool => commands.some(({ command }) => command.includes(tool)))
    test.skipIf(needed.length > 0 && !required)(`what line ${line} shows runs${needed.length > 0 ? `, with ${needed.join(', ')}` : ''}`, async () => {
      const log = vi.spyOn(console, 'log').mockImplementation(() => undefined)
      let app: App | undefined
      try {
        app = ((await import(file)) as { app?: App }).app
        if (printed !== undefined) expect(log.mock.calls.map(words => format(...words)).join('\n')).toBe(printed)
        const listening = new Map(app?.explain().transports.map(({ name, urls }) => [name, new URL(urls[0] ?? 'none:').port]))
        for (const { command, output } of commands) {
          let real = command
          for (const [name, port] of portsOf(text)) real = real.replaceAll(new RegExp(`\\b${port}\\b`, 'g'), listening.get(name) ?? port)
          await follow(real, output)
        }
      } finally {
        log.mockRestore()
        await app?.close({ timeout: 100 })
      }
      if (app !== undefined) expect(app.live).toBe(0)
    })
  }
})

describe('the documents', () => {
  test('show programs whose types are right', () => {
    const config = join(built, 'tsconfig.json')
    const compilerOptions = { isolatedDeclarations: false, declaration: false, allowJs: true }
    const extended = join(root, 'tsconfig.base.json')
    writeFileSync(config, JSON.stringify({ extends: extended, compilerOptions, files: all.map(({ file }) => file) }))
    let errors = ''
    try {
      execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', config, '--pretty', 'false'], { cwd: root, encoding: 'utf8' })
    } catch (error) {
      errors = (error as { stdout: string }).stdout
    }
    expect(errors).toBe('')
  }, 60_000)

  const ours = documents.filter(document => !/^packages\/(?:router|static|iopa-)|^docs\/(?:contract|decisions)|^examples\/[^/]+\//.test(document))

  test.each(ours)('say of each block of code in %s what it is', document => {
    const blocks = blocksOf(readFileSync(join(root, document), 'utf8'))
    expect(blocks.filter(({ language, mark }) => /^[jt]s$/.test(language) && mark === '').map(({ line }) => line)).toEqual([])
  })

  test.each(documents)('lead from %s to files that are there', document => {
    const text = readFileSync(join(root, document), 'utf8').replace(/^```.*?^```$/gms, '')
    const targets = [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#[^)]*)?\)/g)].map(match => match[1] as string)
    const broken = targets.filter(target => target !== '' && !existsSync(resolve(root, dirname(document), target)))
    expect(broken.map(target => `${relative(root, resolve(root, dirname(document), target))}`)).toEqual([])
  })
})
