# Run at every build: writes VERSION_FILE anew only when the commit or its dirtiness changed.
execute_process(COMMAND git rev-parse HEAD WORKING_DIRECTORY ${SOURCE_DIR} OUTPUT_VARIABLE commit
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
if(status EQUAL 0)
  execute_process(COMMAND git status --porcelain --untracked-files=no WORKING_DIRECTORY ${SOURCE_DIR}
                  OUTPUT_VARIABLE changes)
else()
  set(commit "unknown")
endif()
if(changes)
  set(dirty true)
else()
  set(dirty false)
endif()
set(text "#include \"dualscape/base/version.hpp\"

namespace dualscape {

const BuildInfo build_info = {\"${VERSION}\", \"${commit}\", ${dirty}};

}  // namespace dualscape
")
if(EXISTS ${VERSION_FILE})
  file(READ ${VERSION_FILE} before)
endif()
if(NOT "${before}" STREQUAL "${text}")
  file(WRITE ${VERSION_FILE} "${text}")
endif()
