import { firstBytesSuite } from './first-bytes/suite.ts'

firstBytesSuite('stream')
