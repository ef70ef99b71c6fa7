import Rehearsal

package typealias SeededGenerator = Rehearsal.SeededGenerator
