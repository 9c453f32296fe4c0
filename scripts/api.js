// pnpm api: writes the public types of each package, as they were built, into packages/*/api.d.ts, without comments.
// pnpm api --check: says what has changed since, and ends with 1 when something has.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from '@typescript/typescript6'

const packages = fileURLToPath(new URL('../packages/', import.meta.url))
const printer = ts.createPrinter({ removeComments: true, newLine: ts.NewLineKind.LineFeed })

/** The declaration files of a package: its entries, and the parts that they import. */
const declarationsOf = folder => {
  const { exports } = JSON.parse(readFileSync(join(packages, folder, 'package.json'), 'utf8'))
  const names = new Set(Object.values(exports).flatMap(entry => (entry.types === undefined ? [] : [basename(entry.types)])))
  // A set that grows is walked to its new end.
  for (const name of names) {
    for (const [, part] of readFileSync(join(packages, folder, 'dist', name), 'utf8').matchAll(/from '\.\/([^']+)\.js'/g)) names.add(`${part}.d.ts`)
  }
  return [...names].sort()
}

const typesOf = folder => {
  const parts = declarationsOf(folder).map(name => {
    const text = readFileSync(join(packages, folder, 'dist', name), 'utf8')
    return `// ${name}\n${printer.printFile(ts.createSourceFile(name, text, ts.ScriptTarget.Latest))}`
  })
  return `// Written by pnpm api.\n\n${parts.join('\n')}`
}

const unbuilt = readdirSync(packages).filter(folder => !existsSync(join(packages, folder, 'dist')))
if (unbuilt.length > 0) {
  console.error(`Not built: ${unbuilt.join(', ')}. Run pnpm build first.`)
  process.exit(1)
}

const check = process.argv.includes('--check')
const scratch = mkdtempSync(join(tmpdir(), 'iopa-api-'))
let changed = 0
for (const folder of readdirSync(packages)) {
  const types = typesOf(folder)
  const kept = join(packages, folder, 'api.d.ts')
  if (!check) writeFileSync(kept, types)
  else if (!existsSync(kept) || readFileSync(kept, 'utf8') !== types) {
    changed++
    console.log(`\n${folder}: the public types are not those of api.d.ts`)
    const built = join(scratch, `${folder}.d.ts`)
    writeFileSync(built, types)
    if (existsSync(kept)) spawnSync('git', ['--no-pager', 'diff', '--no-index', '--unified=0', kept, built], { stdio: 'inherit' })
  }
}
rmSync(scratch, { recursive: true, force: true })
if (changed > 0) console.log('\nWhere the change is meant: pnpm build && pnpm api, and commit what it writes.')
process.exit(changed > 0 ? 1 : 0)
